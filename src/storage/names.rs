//! What is called what in storages.

use std::path::{Component, Path, PathBuf};

use crate::{
    Result,
    model::{ChunkId, JobSpec},
};

/// The name of a job's definition in its folder; beside it, after the job's id, where the folder has such a file of its own.
pub(super) const SPEC: &str = "job.json";
/// The folder of chunk outputs and marks in that of a job. It is no part of the bundle.
pub(super) const OUTPUTS: &str = ".helios-outputs";

/// The mark of all chunks of a job that is no longer defined.
pub const DELETED: &str = "deleted";

/// The name under which the output of a chunk is kept: its number, and what kind of file it is.
pub(super) fn output_name(chunk: ChunkId, file: &Path) -> String {
    let extension = file.extension().map(|extension| extension.to_string_lossy());
    extension.map_or_else(|| chunk.to_string(), |extension| format!("{chunk}.{extension}"))
}

/// The name of the mark that a chunk is cancelled.
pub(super) fn mark_name(chunk: ChunkId) -> String {
    format!("{chunk}.cancelled")
}

/// `text` as the path of something below a folder.
pub(super) fn relative(text: &str) -> Option<PathBuf> {
    let path = Path::new(text);
    let is_plain = |component| matches!(component, Component::Normal(_));
    let is_clean = !text.is_empty() && !text.contains(['\\', '\0']) && !text.ends_with('/');
    // `components` leaves `.` and doubled slashes out of sight.
    let is_clean = is_clean && !text.split('/').any(|part| matches!(part, "" | "." | ".."));
    (is_clean && path.components().all(is_plain)).then(|| path.to_owned())
}

/// The id under which a job was stored, by the URL of its definition: what its outputs are stored under, so that two
/// submissions of one job never meet.
pub fn stored_id(spec_url: &str) -> Option<&str> {
    let (scheme, path) = spec_url.split_once("://")?;
    let path = path.split(['?', '#']).next()?;
    // A bucket is not part of an id. Of a path, nobody here knows where the storage ends and the id begins.
    let is_bucket = matches!(scheme, "s3" | "gcs");
    let path = if is_bucket { path.split_once('/')?.1 } else { path };
    let id = path.strip_suffix("/job.json").or_else(|| path.strip_suffix(".job.json"))?;
    let id = if is_bucket { id } else { id.rsplit('/').next()? };
    (!id.is_empty()).then_some(id)
}

/// The id under which the outputs of a job are stored, whose definition is at `spec_url`: its own where that says nothing. Empty
/// when there is none.
///
/// # Errors
/// When the owner's form of the job cannot be written as JSON.
pub fn output_id(spec_url: Option<&str>, spec: &JobSpec) -> Result<String> {
    spec_url.and_then(stored_id).map_or_else(|| spec.id(), |id| Ok(id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::stored_id;

    #[test]
    fn outputs_go_where_the_definition_is() {
        for (url, id) in [
            ("s3://bucket/4f1a/job.json", Some("4f1a")),
            ("gcs://bucket/team/4f1a/job.json", Some("team/4f1a")),
            ("s3://bucket/4f1a.job.json", Some("4f1a")),
            ("local:///var/jobs/4f1a/job.json", Some("4f1a")),
            ("local:///var/jobs/4f1a.job.json", Some("4f1a")),
            ("https://host/jobs/4f1a/job.json?signature=x", Some("4f1a")),
            ("s3://bucket/job.json", None),
            ("s3://bucket", None),
            ("/var/jobs/4f1a/job.json", None),
            ("https://host/other.json", None),
        ] {
            assert_eq!(stored_id(url), id, "{url}");
        }
    }
}
