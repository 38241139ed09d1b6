use std::{fs, path::Path};

use futures_util::TryStreamExt;
use object_store::{ObjectStoreExt, memory::InMemory, path::Path as Key};

use super::*;

/// A bucket in memory.
#[derive(Clone, Debug, Default)]
struct Memory(Arc<InMemory>);

impl Connect for Memory {
    const SCHEME: &'static str = "s3";
    const SERVICE: &'static str = "S3";

    fn connect<'a>(&'a self, _options: &'a BucketOptions) -> BoxFuture<'a, Result<Opened, Error>> {
        let opened = Opened { store: Arc::clone(&self.0) as _, signer: None };
        Box::pin(async { Ok(opened) })
    }
}

impl Memory {
    fn storage(&self, dedupe: bool) -> BucketStorage<Self> {
        let options = BucketOptions { bucket: "b".into(), dedupe, ..BucketOptions::default() };
        BucketStorage::new(self.clone(), options)
    }

    async fn keys(&self) -> Vec<String> {
        let listed: Vec<_> = self.0.list(None).try_collect().await.unwrap();
        listed.into_iter().map(|object| object.location.to_string()).collect()
    }

    async fn text(&self, key: &str) -> String {
        let found = self.0.get(&Key::parse(key).unwrap()).await.unwrap();
        String::from_utf8(found.bytes().await.unwrap().to_vec()).unwrap()
    }

    async fn put(&self, key: &str, text: &'static str) {
        self.0.put(&Key::parse(key).unwrap(), text.into()).await.unwrap();
    }
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// The paths of what is below a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                names.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    names.sort();
    names
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn up(storage: &BucketStorage<Memory>, id: &str, from: &Path) -> String {
    storage
        .upload_asset_bundle(id, text(from), &Exclusions::default(), &CancellationToken::new())
        .await
        .unwrap()
}

#[tokio::test]
async fn names_are_kept_as_they_are() {
    let odd = "a b/%41 #?+~ü[x]{y}.json";
    let (bucket, from, to) = (Memory::default(), folder(&[(odd, "1"), ("e", "")]), folder(&[]));
    let storage = bucket.storage(false);
    let url = up(&storage, "job", from.path()).await;
    assert_eq!(bucket.keys().await, [format!("job/{odd}"), "job/e".into()]);
    storage.download_asset_bundle("job", &url, text(to.path())).await.unwrap();
    assert_eq!(names(to.path()), names(from.path()));
}

#[tokio::test]
async fn deletion_leaves_siblings() {
    let (bucket, from) = (Memory::default(), folder(&[("a", "1")]));
    let storage = bucket.storage(false);
    let url = up(&storage, "job1", from.path()).await;
    up(&storage, "job10", from.path()).await;
    bucket.put("job1.job.json", "{}").await;
    storage.delete_asset_bundle("job1", &url).await.unwrap();
    assert_eq!(bucket.keys().await, ["job1.job.json", "job10/a"]);
}

#[tokio::test]
async fn key_that_is_no_path_is_refused_by_name() {
    let (bucket, to) = (Memory::default(), folder(&[]));
    bucket.put("job/fine", "1").await;
    bucket.put("job/..\\..\\evil", "1").await;
    let outcome =
        bucket.storage(false).download_asset_bundle("job", "s3://b/job", text(to.path())).await;
    let error = outcome.unwrap_err().to_string();
    assert!(error.starts_with("refused to fetch \"job/..\\\\..\\\\evil\""), "{error}");
    assert_eq!(names(to.path()), [""; 0]);
}

#[tokio::test]
async fn object_with_the_name_of_a_folder_is_one() {
    let (bucket, to) = (Memory::default(), folder(&[]));
    bucket.put("job/deep", "").await;
    bucket.put("job/deep/file", "1").await;
    let storage = bucket.storage(false);
    storage.download_asset_bundle("job", "s3://b/job", text(to.path())).await.unwrap();
    assert_eq!(names(to.path()), ["deep/file"]);
}

#[tokio::test]
async fn what_is_damaged_is_refused_and_nothing_stays() {
    for dedupe in [false, true] {
        let (bucket, from) = (Memory::default(), folder(&[("a", "1"), ("b", "2")]));
        let to = folder(&[("own", "mine")]);
        let storage = bucket.storage(dedupe);
        let url = up(&storage, "job", from.path()).await;
        let keys = bucket.keys().await;
        let victim = keys.iter().find(|key| key.ends_with("/b") || key.contains("blobs"));
        let key = Key::parse(victim.unwrap()).unwrap();
        let attributes = bucket.0.get(&key).await.unwrap().attributes;
        let options = object_store::PutOptions { attributes, ..Default::default() };
        bucket.0.put_opts(&key, "x".into(), options).await.unwrap();
        let outcome = storage.download_asset_bundle("job", &url, text(to.path())).await;
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains(" is damaged: its SHA-256 is "), "{error}");
        assert_eq!(names(to.path()), ["own"]);
    }
}

#[tokio::test]
async fn what_another_job_has_is_copied() {
    let (bucket, from, to) =
        (Memory::default(), folder(&[("a", "same"), ("b", "same"), ("c", "other")]), folder(&[]));
    let storage = bucket.storage(true);
    let one = up(&storage, "one", from.path()).await;
    let blobs =
        |keys: Vec<String>, job| keys.into_iter().filter(move |key| key.starts_with(job)).count();
    assert_eq!(blobs(bucket.keys().await, "one/.helios-blobs/"), 2);
    let two = up(&storage, "two", from.path()).await;
    for index in bucket.keys().await.iter().filter(|key| key.starts_with(".helios-dedupe/")) {
        assert_eq!(bucket.text(index).await, "two");
    }
    // The first one's deletion takes nothing from the second.
    storage.delete_asset_bundle("one", &one).await.unwrap();
    assert_eq!(blobs(bucket.keys().await, ".helios-dedupe/"), 2);
    // Without the option, too: what there is decides.
    let plain = bucket.storage(false);
    plain.download_asset_bundle("two", &two, text(to.path())).await.unwrap();
    assert_eq!(names(to.path()), ["a", "b", "c"]);
    storage.delete_asset_bundle("two", &two).await.unwrap();
    assert_eq!(bucket.keys().await, [""; 0]);
}

#[tokio::test]
async fn index_that_is_wrong_costs_an_upload() {
    let (bucket, from, to) = (Memory::default(), folder(&[("a", "1")]), folder(&[]));
    let storage = bucket.storage(true);
    up(&storage, "one", from.path()).await;
    for holder in ["gone", "../up", "", "two"] {
        for index in bucket.keys().await.iter().filter(|key| key.starts_with(".helios-dedupe/")) {
            bucket.put(index, holder).await;
        }
        let url = up(&storage, "two", from.path()).await;
        storage.download_asset_bundle("two", &url, text(to.path())).await.unwrap();
        assert_eq!(fs::read_to_string(to.path().join("a")).unwrap(), "1");
        storage.delete_asset_bundle("two", &url).await.unwrap();
        fs::remove_file(to.path().join("a")).unwrap();
        up(&storage, "one", from.path()).await;
    }
}

#[tokio::test]
async fn manifest_cannot_name_what_is_outside() {
    let (bucket, to) = (Memory::default(), folder(&[]));
    let storage = bucket.storage(true);
    for (manifest, part) in [
        (
            r#"{"version":1,"files":{"../x":{"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}}}"#,
            "refused to fetch \"../x\"",
        ),
        (r#"{"version":1,"files":{"x":{"sha256":"../../y","size":0}}}"#, "no SHA-256"),
        (r#"{"version":2,"files":{}}"#, "its version is 2, not 1"),
        ("{", "is damaged"),
    ] {
        bucket.put("job/.helios-manifest.json", manifest).await;
        let outcome = storage.download_asset_bundle("job", "s3://b/job", text(to.path())).await;
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(names(to.path()), [""; 0]);
}

#[tokio::test]
async fn folder_without_files_is_kept_and_comes_back() {
    let (bucket, from, to) = (Memory::default(), folder(&[]), folder(&[]));
    let storage = bucket.storage(false);
    let url = up(&storage, "job", from.path()).await;
    storage.download_asset_bundle("job", &url, text(to.path())).await.unwrap();
    assert_eq!(names(to.path()), [""; 0]);
    let filled = folder(&[("a", "1")]);
    up(&storage, "job", filled.path()).await;
    storage.download_asset_bundle("job", &url, text(to.path())).await.unwrap();
    assert_eq!(names(to.path()), ["a"]);
}

#[tokio::test]
async fn plain_bundle_takes_the_place_of_one_by_content() {
    let (bucket, one, two) = (Memory::default(), folder(&[("a", "1")]), folder(&[("b", "2")]));
    let to = folder(&[]);
    up(&bucket.storage(true), "job", one.path()).await;
    let storage = bucket.storage(false);
    let url = up(&storage, "job", two.path()).await;
    storage.download_asset_bundle("job", &url, text(to.path())).await.unwrap();
    assert_eq!(names(to.path()), ["b"]);
}

#[cfg(unix)]
#[tokio::test]
async fn what_may_be_run_may_be_run_afterwards() {
    use std::os::unix::fs::PermissionsExt;
    for dedupe in [false, true] {
        let (bucket, from, to) =
            (Memory::default(), folder(&[("run", "same"), ("read", "same")]), folder(&[]));
        fs::set_permissions(from.path().join("run"), PermissionsExt::from_mode(0o755)).unwrap();
        let storage = bucket.storage(dedupe);
        let url = up(&storage, "job", from.path()).await;
        storage.download_asset_bundle("job", &url, text(to.path())).await.unwrap();
        for (name, expected) in [("run", 0o100), ("read", 0)] {
            let mode = fs::metadata(to.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o100, expected, "{name}, dedupe {dedupe}");
        }
    }
}
