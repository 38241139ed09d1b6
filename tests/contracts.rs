//! The contracts of the crate's traits, each run on every native type that implements it.

#![expect(clippy::missing_panics_doc, clippy::unwrap_used, reason = "tests fail by panicking")]

pub mod contract {
    //! The suites.

    pub mod executor;
    pub mod repository;
    pub mod stitcher;
    pub mod support;
    pub mod worker_adapter;
}

use std::rc::Rc;

use contract::support::{OwnEnvironment, Silence, local_adapter};
use helios_infrastructure::{
    adapters::WorkerAdapter,
    model::WorkerJob,
    orchestrator::{Executor, JobExecutor},
    repository::{
        FileJobRepository, FileJobRepositoryOptions, InMemoryJobRepository, JobRepository,
    },
    stitcher::{FfmpegStitcher, FfmpegStitcherOptions},
};
use tempfile::TempDir;

/// Runs tests of a suite on what `$make` makes, by the name of `$made` in `$call`.
macro_rules! suite {
    ($suite:ident, $made:ident = $make:expr => $call:expr; $($test:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "local")]
            async fn $test() {
                let $made = $make;
                contract::$suite::$test($call).await;
            }
        )+
    };
}

/// Makes the tests of a repository.
macro_rules! repository {
    ($name:ident, $make:expr) => {
        mod $name {
            use super::*;

            suite! {
                repository, made = $make => &*made.1;
                what_was_saved_is_given_back,
                thin_record_stays_thin,
                unknown_job_is_nowhere,
                saving_again_leaves_nothing_of_the_old_record,
                deleting_leaves_the_others_alone,
                deleted_job_can_come_back,
                records_are_copies,
                ids_may_be_any_plain_names,
                last_of_many_saves_at_once_is_stored,
                many_jobs_are_saved_at_once,
            }
            suite! { repository, made = $make => Rc::clone(&made.1); managed_job_is_kept_and_forgotten }
        }
    };
}

/// A repository, and the folder that it may be in.
type InFolder = (TempDir, Rc<dyn JobRepository>);

fn file_repository(fsync: bool) -> InFolder {
    let folder = tempfile::tempdir().unwrap();
    // The folder is made with the first record.
    let path = folder.path().join("jobs/of mine");
    let repository = FileJobRepository::new(path, FileJobRepositoryOptions { fsync });
    (folder, Rc::new(repository))
}

fn memory_repository() -> InFolder {
    (tempfile::tempdir().unwrap(), Rc::new(InMemoryJobRepository::default()))
}

repository!(file_job_repository, file_repository(true));
repository!(file_job_repository_without_fsync, file_repository(false));
repository!(in_memory_job_repository, memory_repository());

mod local_worker_adapter {
    use super::*;

    suite! {
        worker_adapter, adapter = local_adapter() => &adapter;
        command_that_ran_gives_a_result,
        command_that_cannot_start_is_an_error,
        arguments_are_handed_over_as_they_are,
        command_runs_in_its_folder_and_environment,
        output_is_heard_before_the_result,
        much_output_on_both_streams_is_kept,
        command_that_reads_its_input_ends,
        many_commands_keep_their_results_apart,
        cancelled_job_starts_nothing,
        cancelled_job_leaves_nothing_running,
    }
}

mod job_executor {
    use super::*;

    fn make(adapter: Rc<dyn WorkerAdapter>) -> Rc<dyn Executor> {
        Rc::new(JobExecutor::new(adapter, Rc::new(Silence)))
    }

    suite! {
        executor, make = make => &make;
        chunks_run_in_order,
        done_chunks_do_not_run,
        every_chunk_is_heard_of,
        failing_chunk_fails_the_job,
        abort_ends_the_job,
        managed_job_completes,
        managed_job_fails,
        managed_job_is_cancelled,
        managed_job_is_paused_and_resumed,
    }
}

mod ffmpeg_stitcher {
    use super::*;

    /// A stand-in for ffmpeg, which joins the files of the list byte by byte.
    const FFMPEG: &str = r#"#!/bin/sh
eval output=\${$(($# - 1))}
output=${output#file:}
while [ "$1" != -i ]; do shift; done
: > "$output"
sed -n "s/^file '\(.*\)'\$/\1/p" "$2" | sed "s/'\\\\''/'/g" | while IFS= read -r input; do
  case $(head -c 6 "$input") in
    broken) echo 'no codec' >&2; exit 2 ;;
    slow) exec 3> "${input%/*}/slow"; sleep 60 & sleep 60 ;;
  esac
  cat "$input" >> "$output"
done
"#;

    /// A stand-in for ffprobe, to which every byte is a frame.
    const FFPROBE: &str = r#"#!/bin/sh
for file; do :; done
od -An -v -tx1 "${file#file:}" | tr -s ' ' '\n' | sed '/^$/d' | awk '{
  print "packet|stream_index=0|pts=" NR - 1 "|dts=" NR - 1 "|duration=1|size=1|flags=K_"
}'
echo 'stream|index=0|codec_name=raw|codec_type=video|width=1|height=1|r_frame_rate=10/1|time_base=1/10'
"#;

    /// A stitcher on the stand-ins, and the folder that holds their programs and its temporary files.
    struct Stitcher {
        folder: TempDir,
        core: FfmpegStitcher,
    }

    impl Stitcher {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let text = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
            for (name, script) in [("ffmpeg", FFMPEG), ("ffprobe", FFPROBE)] {
                std::fs::write(text(name), script).unwrap();
                let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
                std::fs::set_permissions(text(name), executable).unwrap();
            }
            std::fs::create_dir(text("tmp")).unwrap();
            // The one beside it is the ffprobe of an ffmpeg.
            let variables = [("FFMPEG_PATH", text("ffmpeg")), ("TMPDIR", text("tmp"))];
            let environment =
                OwnEnvironment(variables.map(|(name, value)| (name.to_owned(), value)).to_vec());
            let core = FfmpegStitcher::new(
                Rc::new(local_adapter()),
                Rc::new(environment),
                FfmpegStitcherOptions::default(),
            );
            Self { folder, core }
        }
    }

    impl Drop for Stitcher {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                let left = std::fs::read_dir(self.folder.path().join("tmp")).unwrap().count();
                assert_eq!(left, 0, "temporary files are gone afterwards");
            }
        }
    }

    async fn make_pipe(path: &std::path::Path) {
        let args = vec![path.to_str().unwrap().to_owned()];
        let job = WorkerJob { command: "mkfifo".to_owned(), args, ..WorkerJob::default() };
        assert!(local_adapter().execute(job).await.unwrap().exit_code.is_success());
    }

    suite! {
        stitcher, stitcher = Stitcher::new() => &stitcher.core;
        output_holds_all_inputs_in_order,
        nothing_makes_no_video,
        names_may_be_anything,
        older_output_is_replaced,
        failure_leaves_no_output,
        input_that_is_no_file_is_named,
        cancelled_job_leaves_nothing,
    }

    #[tokio::test(flavor = "local")]
    async fn job_cancelled_at_work_leaves_nothing() {
        let stitcher = Stitcher::new();
        contract::stitcher::job_cancelled_at_work_leaves_nothing(&stitcher.core, make_pipe).await;
    }
}
