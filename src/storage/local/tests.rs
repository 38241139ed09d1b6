//! A storage in a folder, and all that may be in one.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt};

use super::*;

/// What is in a folder: files with their text and mode, folders with a slash.
fn content(folder: &Path) -> BTreeMap<String, String> {
    let mut content = BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            let mode = path.metadata().unwrap().permissions().mode() & 0o777;
            if path.is_dir() {
                content.insert(format!("{name}/"), format!("{mode:o}"));
                left.push(path);
            } else {
                content
                    .insert(name, format!("{mode:o} {}", std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    content
}

struct Desk {
    folder: tempfile::TempDir,
    storage: LocalStorageAdapter,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = LocalStorageAdapter::new(folder.path().join("storage"));
        Self { folder, storage }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A folder with all sorts of things.
    fn bundle(&self) -> String {
        let write = |name: &str, text: &str, mode| {
            let path = self.path("bundle").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        };
        write("scene.json", "{}", 0o644);
        write(".hidden", "h", 0o600);
        write("deep/er/empty", "", 0o640);
        write("deep/run.sh", "#!", 0o755);
        write("na me's \u{fc}.txt", "x", 0o644);
        for index in 0..100 {
            write(&format!("many/{index}"), &"y".repeat(index * 100), 0o644);
        }
        std::fs::create_dir_all(self.path("bundle/nothing/in/here")).unwrap();
        let mode = PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(self.path("bundle/nothing"), mode).unwrap();
        self.text("bundle")
    }
}

fn spec(text: &str) -> JobSpec {
    JsonSpec::parse(text.into()).unwrap()
}

#[tokio::test]
async fn bundle_comes_back_as_it_was() {
    let desk = Desk::new();
    let bundle = desk.bundle();
    let url = desk
        .storage
        .upload_asset_bundle("logs/a", &bundle, &Exclusions::default(), &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(url, format!("local://{}", desk.text("storage/logs/a")));
    desk.storage.download_asset_bundle("logs/a", &url, &desk.text("new/target")).await.unwrap();
    assert_eq!(content(&desk.path("new/target")), content(&desk.path("bundle")));
    desk.storage.delete_asset_bundle("logs/a", &url).await.unwrap();
    desk.storage.delete_asset_bundle("logs/a", &url).await.unwrap();
    assert_eq!(content(&desk.path("storage")).len(), 1);
}

#[tokio::test]
async fn definition_is_in_the_folder_or_beside_it() {
    let desk = Desk::new();
    let (storage, bundle) = (&desk.storage, desk.bundle());
    let first = spec(r#"{"id":"s","chunks":[],"odd":1.50}"#);
    let url = storage.upload_job_spec("a", &first).await.unwrap();
    assert_eq!(url, format!("local://{}", desk.text("storage/a/job.json")));
    let text = std::fs::read_to_string(desk.path("storage/a/job.json")).unwrap();
    assert_eq!(text, "{\n  \"id\": \"s\",\n  \"chunks\": [],\n  \"odd\": 1.50\n}");
    assert_eq!(&*storage.download_job_spec("a", &url).await.unwrap().json().unwrap(), text);
    // One of the user's own comes: it stays as it is, and so does ours.
    std::fs::write(desk.path("bundle/job.json"), "mine").unwrap();
    storage
        .upload_asset_bundle("a", &bundle, &Exclusions::default(), &CancellationToken::new())
        .await
        .unwrap();
    let url = storage.upload_job_spec("a", &spec(r#"{"id":"t"}"#)).await.unwrap();
    assert_eq!(url, format!("local://{}", desk.text("storage/a.job.json")));
    assert_eq!(std::fs::read_to_string(desk.path("storage/a/job.json")).unwrap(), "mine");
    let read = storage.download_job_spec("a", &url).await.unwrap();
    assert_eq!(&*read.json().unwrap(), "{\n  \"id\": \"t\"\n}");
    storage.delete_job_spec("a", &url).await.unwrap();
    storage.delete_job_spec("a", &url).await.unwrap();
    assert!(!desk.path("storage/a.job.json").exists());
}

#[tokio::test]
async fn outputs_of_chunks_are_no_assets() {
    let desk = Desk::new();
    let (storage, bundle) = (&desk.storage, desk.bundle());
    let assets = storage
        .upload_asset_bundle("a", &bundle, &Exclusions::default(), &CancellationToken::new())
        .await
        .unwrap();
    std::fs::write(desk.path("3.mp4"), "video").unwrap();
    let url =
        storage.upload_chunk_output("a", ChunkId::new(3.0), &desk.text("3.mp4")).await.unwrap();
    assert!(url.ends_with("/3.mp4"), "{url}");
    storage.download_chunk_output("a", &url, &desk.text("here/3.mp4")).await.unwrap();
    assert_eq!(std::fs::read_to_string(desk.path("here/3.mp4")).unwrap(), "video");
    storage.download_asset_bundle("a", &assets, &desk.text("target")).await.unwrap();
    assert_eq!(content(&desk.path("target")), content(&desk.path("bundle")));
}

#[tokio::test]
async fn nothing_leads_out_of_the_folder() {
    let desk = Desk::new();
    let (storage, bundle) = (&desk.storage, desk.bundle());
    for id in ["", ".", "..", "../a", "a/../../b", "/a", "a//b", "a/", "a\\b", "a\0"] {
        let error = storage
            .upload_asset_bundle(id, &bundle, &Exclusions::default(), &CancellationToken::new())
            .await
            .unwrap_err();
        assert!(matches!(error, crate::Error::InvalidInput(_)), "{id:?}: {error}");
        assert!(storage.upload_job_spec(id, &spec("{}")).await.is_err(), "{id:?}");
    }
    std::fs::create_dir_all(desk.path("storage")).unwrap();
    std::os::unix::fs::symlink(desk.path("bundle"), desk.path("storage/out")).unwrap();
    for place in ["storage", "storage/..", "storage/../bundle", "bundle", "storage/out/deep"] {
        let url = format!("local://{}", desk.text(place));
        let expected = format!("Invalid remote URL: Path traversal detected in {url}");
        let errors = [
            storage.download_asset_bundle("a", &url, &desk.text("t")).await.err(),
            storage.delete_asset_bundle("a", &url).await.err(),
            storage.download_job_spec("a", &url).await.err(),
            storage.delete_job_spec("a", &url).await.err(),
            storage.download_chunk_output("a", &url, &desk.text("t")).await.err(),
        ];
        for error in errors {
            assert_eq!(error.unwrap().to_string(), expected);
        }
    }
    let error = storage.download_asset_bundle("a", "s3://b/a", "t").await.unwrap_err();
    assert_eq!(error.to_string(), "Unsupported remote URL scheme: s3://b/a");
    assert!(desk.path("bundle/scene.json").exists() && !desk.path("t").exists());
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let desk = Desk::new();
    let missing = desk.text("none");
    let error = desk
        .storage
        .upload_asset_bundle("a", &missing, &Exclusions::default(), &CancellationToken::new())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), format!("Local directory {missing} does not exist"));
    let place = desk.text("storage/a");
    let url = format!("local://{place}");
    let error = desk.storage.download_asset_bundle("a", &url, &desk.text("t")).await.unwrap_err();
    assert_eq!(error.to_string(), format!("Remote directory {place} does not exist"));
    assert!(!desk.path("t").exists());
}

#[tokio::test]
async fn links_are_what_they_lead_to_and_stay_inside() {
    let link = |desk: &Desk, target: &str, name: &str| {
        std::os::unix::fs::symlink(target, desk.path("bundle").join(name)).unwrap();
    };
    let desk = Desk::new();
    let bundle = desk.bundle();
    link(&desk, "scene.json", "same.json");
    link(&desk, "deep", "shallow");
    let url = desk
        .storage
        .upload_asset_bundle("a", &bundle, &Exclusions::default(), &CancellationToken::new())
        .await
        .unwrap();
    desk.storage.download_asset_bundle("a", &url, &desk.text("t")).await.unwrap();
    assert_eq!(std::fs::read_to_string(desk.path("t/same.json")).unwrap(), "{}");
    assert!(!desk.path("t/same.json").is_symlink() && desk.path("t/shallow/er/empty").exists());
    for (target, text) in [
        ("/etc/passwd", "which is not in"),
        ("../..", "which is not in"),
        (".", "a link to a folder that it is in"),
        ("gone", "ENOENT: no such file or directory, realpath"),
    ] {
        let desk = Desk::new();
        let bundle = desk.bundle();
        link(&desk, target, "deep/link");
        let result = desk
            .storage
            .upload_asset_bundle("a", &bundle, &Exclusions::default(), &CancellationToken::new())
            .await;
        let error = result.unwrap_err().to_string();
        let names_it = error.contains("deep/link");
        // `.` in `deep` is `deep` itself.
        assert!(names_it && error.contains(text), "{target}: {error}");
        assert!(!desk.path("storage").exists(), "{target}: nothing is stored");
    }
}

#[tokio::test]
async fn download_that_fails_leaves_what_was_there_and_no_half_files() {
    let desk = Desk::new();
    let bundle = desk.bundle();
    let url = desk
        .storage
        .upload_asset_bundle("a", &bundle, &Exclusions::default(), &CancellationToken::new())
        .await
        .unwrap();
    // A folder where a file should go.
    std::fs::create_dir_all(desk.path("t/many/50/x")).unwrap();
    std::fs::write(desk.path("t/own"), "mine").unwrap();
    let before = content(&desk.path("t"));
    let error = desk.storage.download_asset_bundle("a", &url, &desk.text("t")).await.unwrap_err();
    assert!(error.to_string().contains("many/50"), "{error}");
    let mut after = content(&desk.path("t"));
    after.retain(|name, _| !name.ends_with('/'));
    let mut before = before;
    before.retain(|name, _| !name.ends_with('/'));
    assert_eq!(after, before);
}

#[tokio::test]
async fn storage_in_the_folder_of_a_job_does_not_keep_itself() {
    let desk = Desk::new();
    let bundle = desk.bundle();
    let storage = LocalStorageAdapter::new(desk.path("bundle/deep/storage"));
    for id in ["a", "b", "c"] {
        let url = storage
            .upload_asset_bundle(id, &bundle, &Exclusions::default(), &CancellationToken::new())
            .await
            .unwrap();
        storage.download_asset_bundle(id, &url, &desk.text("t")).await.unwrap();
    }
    assert!(!desk.path("t/deep/storage").exists() && desk.path("t/deep/run.sh").exists());
}

#[tokio::test]
async fn a_mark_is_new_each_time_and_goes_with_the_definition() {
    let desk = Desk::new();
    let (storage, spec) = (&desk.storage, spec("{\"chunks\":[]}"));
    let url = storage.upload_job_spec("a", &spec).await.unwrap();
    let chunk = ChunkId::new(3.0);
    assert_eq!(storage.cancel_mark(&url, chunk).await.unwrap(), None);
    storage.mark_cancelled(&url, chunk).await.unwrap();
    let first = storage.cancel_mark(&url, chunk).await.unwrap();
    assert!(first.is_some());
    assert_eq!(storage.cancel_mark(&url, ChunkId::new(4.0)).await.unwrap(), None);
    storage.mark_cancelled(&url, chunk).await.unwrap();
    assert_ne!(storage.cancel_mark(&url, chunk).await.unwrap(), first);
    storage.delete_job_spec("a", &url).await.unwrap();
    assert_eq!(storage.cancel_mark(&url, chunk).await.unwrap().as_deref(), Some(DELETED));
    assert_eq!(content(&desk.path("storage")).len(), 0);
}

#[tokio::test]
async fn what_is_excluded_is_not_stored() {
    let desk = Desk::new();
    let bundle = desk.bundle();
    std::fs::write(desk.path("bundle/.env.production"), "SECRET=1").unwrap();
    std::fs::write(desk.path("bundle/.heliosignore"), "deep/er\n").unwrap();
    let exclusions = Exclusions::of_job(Path::new(&bundle), vec!["scene.json".into()]).unwrap();
    desk.storage
        .upload_asset_bundle("a", &bundle, &exclusions, &CancellationToken::new())
        .await
        .unwrap();
    let stored = content(&desk.path("storage/a"));
    assert!(stored.contains_key("deep/run.sh"));
    for name in [".env.production", "scene.json", "deep/er/", "deep/er/empty"] {
        assert!(!stored.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn nothing_is_stored_through_a_link_that_leads_out() {
    let desk = Desk::new();
    let (storage, bundle) = (&desk.storage, desk.bundle());
    let (cancel, none) = (CancellationToken::new(), Exclusions::default());
    std::fs::create_dir_all(desk.path("storage/own")).unwrap();
    std::fs::create_dir_all(desk.path("out/.helios-outputs")).unwrap();
    std::os::unix::fs::symlink(desk.path("out"), desk.path("storage/link")).unwrap();
    std::os::unix::fs::symlink(desk.path("out"), desk.path("storage/own/deep")).unwrap();
    let before = content(&desk.path("out"));
    let spec_url = format!("local://{}", desk.text("storage/link/job.json"));
    let errors = [
        storage.upload_asset_bundle("link", &bundle, &none, &cancel).await.err(),
        storage.upload_asset_bundle("link/a", &bundle, &none, &cancel).await.err(),
        storage.upload_asset_bundle("own", &bundle, &none, &cancel).await.err(),
        storage.upload_job_spec("link/a", &spec("{}")).await.err(),
        storage
            .upload_chunk_output("link", ChunkId::new(1.0), &format!("{bundle}/scene.json"))
            .await
            .err(),
        storage.mark_cancelled(&spec_url, ChunkId::new(1.0)).await.err(),
        storage.delete_job_spec("a", &spec_url).await.err(),
    ];
    for (index, error) in errors.into_iter().enumerate() {
        let error = error.unwrap_or_else(|| panic!("call {index} succeeds")).to_string();
        assert!(error.contains("Path traversal detected in local://"), "{index}: {error}");
    }
    assert_eq!(content(&desk.path("out")), before);
}

#[tokio::test]
async fn storage_outlives_a_definition_in_its_root() {
    let desk = Desk::new();
    std::fs::create_dir_all(desk.path("storage/.helios-outputs")).unwrap();
    for name in ["job.json", ".job.json"] {
        let url = format!("local://{}", desk.text(&format!("storage/{name}")));
        desk.storage.delete_job_spec("a", &url).await.unwrap();
    }
    assert!(desk.path("storage/.helios-outputs").exists());
}

#[tokio::test]
async fn name_may_be_as_long_as_the_disk_takes() {
    let desk = Desk::new();
    let bundle = desk.bundle();
    std::fs::write(desk.path("bundle").join("x".repeat(255)), "long").unwrap();
    let (cancel, none) = (CancellationToken::new(), Exclusions::default());
    let url = desk.storage.upload_asset_bundle("a", &bundle, &none, &cancel).await.unwrap();
    desk.storage.download_asset_bundle("a", &url, &desk.text("t")).await.unwrap();
    assert_eq!(content(&desk.path("t")), content(&desk.path("bundle")));
}

#[tokio::test]
async fn bundle_with_a_definition_of_its_own_leaves_nothing_when_it_goes() {
    let desk = Desk::new();
    let bundle = desk.bundle();
    std::fs::write(desk.path("bundle/job.json"), "mine").unwrap();
    let (cancel, none) = (CancellationToken::new(), Exclusions::default());
    let url = desk.storage.upload_asset_bundle("a", &bundle, &none, &cancel).await.unwrap();
    desk.storage.delete_asset_bundle("a", &url).await.unwrap();
    assert_eq!(content(&desk.path("storage")).len(), 0);
    cancel.cancel();
    desk.storage.upload_asset_bundle("a", &bundle, &none, &cancel).await.unwrap_err();
    assert_eq!(content(&desk.path("storage")).len(), 0);
}

#[tokio::test]
async fn link_does_not_let_out_what_stays_at_home() {
    let desk = Desk::new();
    let bundle = desk.bundle();
    std::fs::write(desk.path("bundle/.env"), "SECRET=1").unwrap();
    std::fs::create_dir_all(desk.path("bundle/node_modules/a")).unwrap();
    std::fs::write(desk.path("bundle/.heliosignore"), "/deep/run.sh\n").unwrap();
    for (target, name) in [
        (".env", "settings"),
        ("node_modules/a", "vendor"),
        ("deep", "shallow"),
        ("scene.json", "same.json"),
    ] {
        std::os::unix::fs::symlink(target, desk.path("bundle").join(name)).unwrap();
    }
    let exclusions = Exclusions::of_job(Path::new(&bundle), Vec::new()).unwrap();
    let cancel = CancellationToken::new();
    desk.storage.upload_asset_bundle("a", &bundle, &exclusions, &cancel).await.unwrap();
    let stored = content(&desk.path("storage/a"));
    assert!(stored.contains_key("same.json") && stored.contains_key("shallow/er/empty"));
    for name in ["settings", "vendor/", "shallow/run.sh", "deep/run.sh"] {
        assert!(!stored.contains_key(name), "{name}");
    }
}
