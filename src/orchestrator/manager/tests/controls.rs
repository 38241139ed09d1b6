//! Cancel, pause, resume and delete in every phase of a job, in any pair, one after the other and at once. What was asked
//! for last is what is stored in the end; what has been stopped stays stopped.

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Cancel,
    Pause,
    Resume,
    Delete,
}

const ACTS: [Act; 4] = [Act::Cancel, Act::Pause, Act::Resume, Act::Delete];

impl Act {
    /// What becomes of a job in `state`; `None` is a job that is gone.
    fn after(self, state: Option<JobState>) -> Option<JobState> {
        use JobState::{Cancelled, Paused, Running};
        match (self, state?) {
            (Self::Delete, _) => None,
            (Self::Cancel, Running | Paused) => Some(Cancelled),
            (Self::Pause, Running) => Some(Paused),
            (Self::Resume, Paused | Cancelled) => Some(Running),
            (_, state) => Some(state),
        }
    }

    async fn on(self, manager: &JobManager, id: &str) {
        let done = async {
            match self {
                Self::Cancel => manager.cancel_job(id).await,
                Self::Pause => manager.pause_job(id).await,
                Self::Resume => manager.resume_job(id, same).await,
                Self::Delete => manager.delete_job(id).await,
            }
        };
        let done = tokio::time::timeout(HOUR, done).await;
        done.unwrap_or_else(|_| panic!("{self:?} hangs")).unwrap();
    }
}

/// The moments of a job at which it is held: its name in the world.
const PHASES: [&str; 8] = [
    // Pending still.
    "get",
    "save running 0",
    "upload bundle",
    "upload spec",
    "chunk 2",
    "save running 1",
    "delay",
    "merge",
];

/// A job that is held in a phase.
struct Stage {
    scene: Scene,
    id: String,
    phase: &'static str,
}

impl Stage {
    async fn reach(phase: &'static str) -> Self {
        let mut scene = Scene::uploading();
        (scene.options.retries, scene.options.retry_delay) = (1.0, HOUR / 2);
        scene.adapter.takes.set(Duration::from_secs(1));
        if phase == "delay" {
            scene.world.fail("chunk 2", 1, &value("once"));
        } else {
            scene.world.hold(phase);
        }
        // Submitting waits for the first phases, and must not hold up the test.
        let (manager, options) = (scene.manager.clone(), scene.options.clone());
        spawn_local(async move { manager.submit_job(job(3), options).await });
        let (world, console) = (&scene.world, &scene.console);
        let delayed = || console.lines.borrow().iter().any(|line| line.contains("Retrying"));
        if phase == "delay" {
            // Nothing passes in a delay that could be waited for.
            while !delayed() {
                sleep(Duration::from_millis(1)).await;
            }
        } else {
            world.until_held().await;
        }
        let id = scene.repository.saves.borrow()[0].id.clone();
        Self { scene, id, phase }
    }

    /// Lets go what cannot be told to end, once everything else has come to a halt.
    async fn let_through(&self) {
        for _ in 0..10 {
            yield_now().await;
        }
        if !matches!(self.phase, "chunk 2" | "merge" | "delay") {
            self.scene.world.release();
        }
    }

    async fn act(&self, act: Act) {
        act.on(&self.scene.manager, &self.id).await;
    }

    /// Nothing of the job runs, and its record says so.
    fn assert_at_rest(&self, state: Option<JobState>, case: &str) {
        let active = self.scene.adapter.active.get();
        assert_eq!((active, self.scene.state(&self.id)), (0, state), "{case}");
    }

    /// The job comes to the end that it should, and stays there.
    async fn assert_ends(&self, state: Option<JobState>, case: &str) {
        let scene = &self.scene;
        if state == Some(JobState::Running) {
            scene.world.release();
            scene.until(&self.id, JobState::Completed).await;
            let record = scene.repository.record(&self.id).unwrap();
            assert_eq!(logged(&record), ["1", "2", "3"], "{case}");
            assert_eq!(record.completed_chunks, Some(3.0), "{case}");
            self.assert_at_rest(Some(JobState::Completed), case);
        } else {
            self.assert_at_rest(state, case);
            let happened = scene.world.events.borrow().len();
            scene.world.release();
            sleep(HOUR * 2).await;
            assert_eq!(scene.world.events.borrow()[happened..], [""; 0], "{case}");
            self.assert_at_rest(state, case);
        }
        let cancelled = format!("Job {} cancelled", self.id);
        let times = scene.lines().iter().filter(|line| **line == cancelled).count();
        if state == Some(JobState::Cancelled) {
            assert_eq!(times, 1, "{case}");
        }
        let errors = scene.lines().into_iter().filter(|line| line.starts_with("error: "));
        assert_eq!(errors.collect::<Vec<_>>(), [""; 0], "{case}");
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn last_of_two_controls_one_after_the_other_is_what_the_job_comes_to() {
    for phase in PHASES {
        for (first, second) in ACTS.into_iter().flat_map(|first| ACTS.map(|act| (first, act))) {
            let case = format!("{first:?} then {second:?} at {phase}");
            let stage = Stage::reach(phase).await;
            tokio::join!(stage.act(first), stage.let_through());
            let between = first.after(Some(JobState::Running));
            if between != Some(JobState::Running) {
                stage.assert_at_rest(between, &case);
            }
            stage.act(second).await;
            stage.assert_ends(second.after(between), &case).await;
        }
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn last_of_two_controls_at_once_is_what_the_job_comes_to() {
    for phase in PHASES {
        for (first, second) in ACTS.into_iter().flat_map(|first| ACTS.map(|act| (first, act))) {
            let case = format!("{first:?} and {second:?} at {phase}");
            let stage = Stage::reach(phase).await;
            tokio::join!(stage.act(first), stage.act(second), stage.let_through());
            let state = second.after(first.after(Some(JobState::Running)));
            stage.assert_ends(state, &case).await;
        }
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn pausing_and_resuming_over_and_over_loses_nothing() {
    for phase in PHASES {
        let stage = Stage::reach(phase).await;
        let again = async {
            tokio::join!(stage.act(Act::Pause), stage.act(Act::Resume));
            tokio::join!(stage.act(Act::Pause), stage.act(Act::Resume));
            tokio::join!(stage.act(Act::Pause), stage.act(Act::Resume));
        };
        tokio::join!(again, stage.let_through());
        stage.assert_ends(Some(JobState::Running), phase).await;
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn control_of_an_ended_job_changes_nothing_but_delete() {
    for act in ACTS {
        let scene = Scene::new();
        let id = scene.complete(job(1)).await;
        let saves = scene.world.passed("save").len();
        act.on(&scene.manager, &id).await;
        assert_eq!(scene.state(&id), act.after(Some(JobState::Completed)), "{act:?}");
        assert_eq!(scene.world.passed("save").len(), saves, "{act:?}");
        assert_eq!(scene.job_lines(), [""; 0]);
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn control_while_the_end_is_being_stored_waits_for_it() {
    for act in ACTS {
        let scene = Scene::new();
        let id = scene.submit_and_hold(job(1), "save completed").await;
        let release = async {
            yield_now().await;
            scene.world.release();
        };
        tokio::join!(act.on(&scene.manager, &id), release);
        scene.world.until(|| scene.state(&id) != Some(JobState::Running)).await;
        assert_eq!(scene.state(&id), act.after(Some(JobState::Completed)), "{act:?}");
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn save_that_takes_longer_than_the_grace_is_waited_for_and_overwrites_nothing() {
    for act in [Act::Cancel, Act::Pause, Act::Delete] {
        let scene = Scene::new();
        let id = scene.submit_and_hold(job(2), "save running 1").await;
        let release = async {
            sleep(scene.options.kill_grace * 2).await;
            scene.world.release();
        };
        tokio::join!(act.on(&scene.manager, &id), release);
        assert_eq!(scene.state(&id), act.after(Some(JobState::Running)), "{act:?}");
        sleep(HOUR).await;
        assert_eq!(scene.state(&id), act.after(Some(JobState::Running)), "{act:?}");
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn cancelling_does_not_wait_for_an_executor_that_ends_well_after_all() {
    for (act, state) in [(Act::Cancel, JobState::Cancelled), (Act::Pause, JobState::Paused)] {
        let script = |_, options: JobExecutionOptions| async move {
            options.abort.token.cancelled().await;
            Ok(())
        };
        let scene = Scene::executed_by(Scripted::new(script));
        let id = scene.submit(job(1)).await;
        act.on(&scene.manager, &id).await;
        assert_eq!(scene.state(&id), Some(state));
        assert_eq!(scene.job_lines(), [format!("Job {id} {}", state.as_str())]);
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn job_that_is_stopped_before_it_runs_never_reaches_its_executor() {
    let calls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&calls);
    let script = move |_, _| {
        counted.set(counted.get() + 1);
        ready(Ok(()))
    };
    let scene = Scene::executed_by(Scripted::new(script));
    scene.world.hold("save running 0");
    let id = scene.submit(job(1)).await;
    let release = async {
        yield_now().await;
        scene.world.release();
    };
    tokio::join!(Act::Pause.on(&scene.manager, &id), release);
    assert_eq!((scene.state(&id), calls.get()), (Some(JobState::Paused), 0));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn failure_after_a_stop_is_none() {
    for (act, state) in [(Act::Cancel, JobState::Cancelled), (Act::Pause, JobState::Paused)] {
        let script = |_, options: JobExecutionOptions| async move {
            options.abort.token.cancelled().await;
            Err(thrown(&value("broken off")))
        };
        let scene = Scene::executed_by(Scripted::new(script));
        let id = scene.submit(job(1)).await;
        act.on(&scene.manager, &id).await;
        let record = scene.repository.record(&id).unwrap();
        assert_eq!((record.state, record.error), (Some(state), None));
        assert_eq!(scene.job_lines(), [format!("Job {id} {}", state.as_str())]);
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn control_of_one_job_leaves_the_others_alone() {
    let scene = Scene::new();
    scene.adapter.takes.set(Duration::from_secs(1));
    let ids = [scene.submit(job(2)).await, scene.submit(job(2)).await, scene.submit(job(2)).await];
    tokio::join!(Act::Cancel.on(&scene.manager, &ids[0]), Act::Pause.on(&scene.manager, &ids[1]));
    scene.until(&ids[2], JobState::Completed).await;
    let states = ids.map(|id| scene.state(&id).unwrap());
    assert_eq!(states, [JobState::Cancelled, JobState::Paused, JobState::Completed]);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn controls_of_unknown_jobs_do_nothing() {
    let scene = Scene::new();
    for act in ACTS {
        act.on(&scene.manager, "nobody").await;
    }
    assert!(scene.world.events.borrow().iter().all(|event| event == "get"));
    assert_eq!(scene.lines(), [""; 0]);
}
