//! How a child is started.

use std::{io, path::Path, process::Stdio};

use tokio::process::Child;

use super::{Command, Error, Mark, platform};
use crate::error::InvalidInput;

#[expect(clippy::disallowed_methods, reason = "one of the places that start children")]
pub(super) fn spawn(command: &Command, mark: &Mark) -> io::Result<Child> {
    let start = |program: &Path, script: Option<&Path>| {
        let mut child = tokio::process::Command::new(program);
        if let Some(script) = script {
            child.arg(script);
        } else {
            platform::set_name(&mut child, &command.program);
        }
        if let Some(cwd) = &command.cwd {
            child.current_dir(cwd);
        }
        platform::own_group(&mut child);
        child
            .args(&command.args)
            .env_clear()
            .envs(command.env.0.iter().map(|(name, value)| (name, value)))
            .env(Mark::VARIABLE, mark.value(command.env.get(Mark::VARIABLE)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    };
    let program = platform::find_program(command)?;
    let child = start(&program, None);
    match child {
        // A script without a first line that names its interpreter: execvp, which Node uses, hands it to sh.
        Err(error) if platform::is_script_without_interpreter(&error) => {
            start(Path::new("/bin/sh"), Some(&program))
        }
        other => other,
    }
}

pub(super) fn spawn_error(source: io::Error, command: &Command) -> Error {
    if source.kind() == io::ErrorKind::InvalidInput && source.raw_os_error().is_none() {
        let text = format!(
            "command, args, cwd and env of '{}' must be strings without null bytes",
            command.program
        );
        return Error::InvalidInput(InvalidInput::bad_value(text.replace('\0', "\\0")));
    }
    Error::Spawn { source, program: command.program.clone(), args: command.args.clone() }
}
