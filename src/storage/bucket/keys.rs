//! Where in a bucket what is kept.

use super::super::{Error, OUTPUTS, SPEC, relative};

/// The objects of a job whose bundle is kept by content, in its place.
pub(super) const MANIFEST: &str = ".helios-manifest.json";
/// The place of its blobs.
pub(super) const BLOBS: &str = ".helios-blobs";
/// The place in the bucket of who has which blob.
const INDEX: &str = ".helios-dedupe";
/// The place in the bucket of what machines without credentials write.
const EXCHANGE: &str = ".helios-exchange";

/// A bucket, and the form of its URLs.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) scheme: &'static str,
    pub(super) service: &'static str,
    pub(super) bucket: String,
}

impl Keys {
    /// The URL of a key.
    pub(super) fn url(&self, key: &str) -> String {
        format!("{}://{}/{key}", self.scheme, self.bucket)
    }

    /// The key that a URL means: always one below a job.
    pub(super) fn parse(&self, url: &str) -> Result<String, Error> {
        let path = url.strip_prefix(self.scheme).and_then(|rest| rest.strip_prefix("://"));
        let path = path.ok_or_else(|| Error::Scheme(url.to_owned()))?;
        let format = || Error::Url { service: self.service, url: url.to_owned() };
        let (bucket, key) = path.split_once('/').ok_or_else(format)?;
        let key = key.strip_suffix('/').unwrap_or(key);
        if bucket.is_empty() || key.is_empty() {
            return Err(format());
        }
        if bucket != self.bucket {
            return Err(Error::Bucket { given: bucket.to_owned(), own: self.bucket.clone() });
        }
        job(key).map_err(|_| Error::Traversal(url.to_owned()))
    }
}

/// The place of a job: what all its keys but that of a definition beside it begin with, and `/`.
pub(super) fn job(id: &str) -> Result<String, Error> {
    let is_own = !matches!(id.split('/').next(), Some(INDEX | EXCHANGE)) && relative(id).is_some();
    if is_own { Ok(id.to_owned()) } else { Err(Error::InvalidId(id.to_owned())) }
}

/// The key of a job's definition.
pub(super) fn spec(job: &str) -> String {
    format!("{job}/{SPEC}")
}

/// That of a job whose bundle has a file of that name itself.
pub(super) fn spec_beside(job: &str) -> String {
    format!("{job}.{SPEC}")
}

/// The job that a definition is of.
pub(super) fn job_of(spec: &str) -> Option<&str> {
    spec.strip_suffix(SPEC)?.strip_suffix(['/', '.']).filter(|job| !job.is_empty())
}

/// The place of a job's outputs and marks.
pub(super) fn outputs(job: &str) -> String {
    format!("{job}/{OUTPUTS}")
}

/// The key of what a machine without credentials writes.
pub(super) fn exchange(name: &str) -> String {
    format!("{EXCHANGE}/{name}")
}

/// The key of a blob of a job.
pub(super) fn blob(job: &str, sha256: &str) -> String {
    format!("{job}/{BLOBS}/{sha256}")
}

/// The key of a job's manifest.
pub(super) fn manifest(job: &str) -> String {
    format!("{job}/{MANIFEST}")
}

/// The key of the name of the job that had a blob last.
pub(super) fn index(sha256: &str) -> String {
    format!("{INDEX}/{sha256}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_taken_when_it_leads_into_the_bucket() {
        let keys = Keys { scheme: "s3", service: "S3", bucket: "own".into() };
        for (url, expected) in [
            ("s3://own/a", "a"),
            ("s3://own/team/a/", "team/a"),
            ("s3://own/a b%20ü#?+", "a b%20ü#?+"),
            ("gcs://own/a", "Unsupported remote URL scheme: gcs://own/a"),
            ("s3:/own/a", "Unsupported remote URL scheme: s3:/own/a"),
            ("s3://own", "Invalid S3 URL format: s3://own"),
            ("s3://own/", "Invalid S3 URL format: s3://own/"),
            ("s3:///a", "Invalid S3 URL format: s3:///a"),
            ("s3://other/a", "Remote URL bucket other does not match adapter bucket own"),
            (
                "s3://own/a/../../b",
                "Invalid remote URL: Path traversal detected in s3://own/a/../../b",
            ),
            ("s3://own//a", "Invalid remote URL: Path traversal detected in s3://own//a"),
            ("s3://own/a\\..", "Invalid remote URL: Path traversal detected in s3://own/a\\.."),
            (
                "s3://own/.helios-dedupe",
                "Invalid remote URL: Path traversal detected in s3://own/.helios-dedupe",
            ),
        ] {
            let parsed = keys.parse(url).unwrap_or_else(|error| error.to_string());
            assert_eq!(parsed, expected);
        }
    }

    #[test]
    fn outputs_are_those_of_the_job_that_is_defined() {
        for (spec, job) in [("a/job.json", Some("a")), ("t/a.job.json", Some("t/a"))] {
            assert_eq!(job_of(spec), job);
        }
        for other in ["job.json", "/job.json", "xjob.json", "a/other.json"] {
            assert_eq!(job_of(other), None, "{other}");
        }
    }
}
