//! The command line of Docker.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::{
    model::OutputTarget,
    process::{Command, Environment, KILL_GRACE, MAX_LOG, Supervisor},
};

/// Looked up on the `PATH`.
pub(super) const PROGRAM: &str = "docker";
/// The longest that the daemon may take to do something that is quick.
const LIMIT: Duration = Duration::from_secs(30);

/// Docker as one process calls it: what `DOCKER_HOST`, contexts and logins say holds for all that it is asked.
#[derive(Clone, Debug)]
pub(super) struct Client {
    supervisor: Arc<Supervisor>,
    env: Environment,
}

/// What came of something that Docker was asked.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) is_done: bool,
    pub(super) stdout: String,
    /// What it complains of.
    pub(super) stderr: String,
}

impl Client {
    pub(super) fn new(supervisor: Arc<Supervisor>, env: Environment) -> Self {
        Self { supervisor, env }
    }

    /// Asks Docker for something that is quick.
    pub(super) async fn ask(&self, args: &[&str]) -> Answer {
        let command = Command {
            program: PROGRAM.to_owned(),
            args: args.iter().map(|word| (*word).to_owned()).collect(),
            cwd: None,
            env: self.env.clone(),
            timeout: Some(LIMIT),
            stall_timeout: None,
            output_file: None,
            kill_grace: KILL_GRACE,
            cancel: CancellationToken::new(),
            stdout: OutputTarget::default(),
            stderr: OutputTarget::default(),
            max_output: Some(MAX_LOG),
            max_log: MAX_LOG,
            counterpart: None,
        };
        let ended = Arc::clone(&self.supervisor).run(command).await;
        debug!(asked = ?args, code = ended.as_ref().ok().map(|exit| exit.code), "docker answered");
        match ended {
            Ok(exit) => Answer {
                is_done: exit.code == 0,
                stdout: exit.stdout.as_str().to_owned(),
                stderr: exit.stderr.as_str().trim().to_owned(),
            },
            Err(failure) => {
                Answer { is_done: false, stdout: String::new(), stderr: failure.to_string() }
            }
        }
    }
}
