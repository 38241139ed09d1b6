//! Tells what Docker itself fails with from what commands end with, and says what it means.

use crate::model::{RetryHint, RetryKind};

/// The exit code of a client that could not have a container run. Commands may end with it, too.
pub(super) const OWN_FAILURE: i32 = 125;
/// Those of one whose container cannot run the command, or does not have it.
const NO_COMMAND: [i32; 2] = [126, 127];

/// What clients say that have found no daemon.
const NO_DAEMON: &[&str] =
    &["cannot connect to the docker daemon", "failed to connect to the docker api"];
/// What those say that will not find one the next time either: there is no leave to, or none of that name.
const NO_ACCESS: &[&str] = &[
    "permission denied while trying to connect",
    "unable to resolve docker endpoint",
    "context not found",
];
/// What those say that may have lost it.
const LOST: &[&str] = &["error during connect"];
/// What is said of registries that want to be asked less often.
const THROTTLED: &[&str] = &["toomanyrequests", "too many requests", "rate limit"];
/// What is said of networks, and of what is behind them, that may be there again soon.
const UNREACHABLE: &[&str] = &[
    "connection refused",
    "connection reset",
    "broken pipe",
    "unexpected eof",
    "timeout",
    "deadline exceeded",
    "request canceled",
    "no such host",
    "name resolution",
    "server misbehaving",
    "network is unreachable",
    "no route to host",
    "500 internal server error",
    "502 bad gateway",
    "503 service unavailable",
];
/// What is said of images, and of arguments, that will not do the next time either.
const WRONG: &[&str] = &[
    "no such image",
    "not found",
    "manifest unknown",
    "no matching manifest",
    "does not exist",
    "denied",
    "unauthorized",
    "invalid",
    "duplicate mount point",
    "unable to resolve docker endpoint",
];

/// Whether a client complains that there is no daemon to talk to, or that there is no client.
pub(super) fn is_out_of_reach(stderr: &str) -> bool {
    let said = stderr.to_ascii_lowercase();
    let says = |phrases| has_one_of(phrases, &said);
    said.starts_with("spawn ") || [NO_DAEMON, NO_ACCESS, LOST].into_iter().any(says)
}

/// Whether a client that was to run a container has never reached a daemon.
pub(super) fn found_no_daemon(stderr: &str) -> bool {
    let said = own_words(stderr).unwrap_or_default().to_ascii_lowercase();
    has_one_of(NO_DAEMON, &said) || has_one_of(NO_ACCESS, &said)
}

/// What to make of a client that ended with `code`. `None` where the command has failed, or nobody knows.
pub(super) fn hint(code: i32, stderr: &str) -> Option<RetryHint> {
    let said = own_words(stderr)?.to_ascii_lowercase();
    let says = |phrases| has_one_of(phrases, &said);
    // A client that does not understand its arguments asks nobody.
    let is_refused = code == OWN_FAILURE && (!said.starts_with("docker: ") || says(WRONG));
    let kind = match code {
        OWN_FAILURE if says(THROTTLED) => RetryKind::Throttled,
        OWN_FAILURE if [NO_DAEMON, LOST, UNREACHABLE].into_iter().any(says) => RetryKind::Transient,
        code if is_refused || NO_COMMAND.contains(&code) => RetryKind::Fatal,
        _ => return None,
    };
    Some(RetryHint { kind, after: None })
}

/// What the init of a container says that cannot run the command.
const INIT: &str = "[FATAL tini (";

/// What Docker says itself, below what the command may have written.
fn own_words(stderr: &str) -> Option<&str> {
    let at = stderr.rfind("\ndocker: ").map(|line_feed| line_feed + 1);
    let at = at.or_else(|| stderr.starts_with("docker: ").then_some(0));
    // What is wrong with the arguments stands alone, above this.
    let at = at.or_else(|| stderr.contains("'docker run --help'").then_some(0));
    let at = at.or_else(|| stderr.starts_with(INIT).then_some(0));
    at.map(|at| &stderr[at..])
}

fn has_one_of(phrases: &[&str], text: &str) -> bool {
    phrases.iter().any(|phrase| text.contains(phrase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_failures_are_told_from_those_of_commands() {
        use RetryKind::{Fatal, Throttled, Transient};
        const HELP: &str = "See 'docker run --help'.";
        for (code, stderr, expected) in [
            (
                125,
                "docker: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
                Some(Transient),
            ),
            (125, "docker: error during connect: Head \"http://x/_ping\": EOF.", Some(Transient)),
            (
                125,
                "docker: failed to connect to the docker API at unix:///x: no such file or directory",
                Some(Transient),
            ),
            (
                125,
                "Unable to find image 'a:latest' locally\ndocker: Error response from daemon: Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: no such host.",
                Some(Transient),
            ),
            (
                125,
                "docker: Error response from daemon: Get \"https://r/v2/\": net/http: TLS handshake timeout.",
                Some(Transient),
            ),
            (
                125,
                "Unable to find image 'a:latest' locally\ndocker: Error response from daemon: toomanyrequests: You have reached your pull rate limit.",
                Some(Throttled),
            ),
            (
                125,
                "Unable to find image 'a:latest' locally\ndocker: Error response from daemon: pull access denied for a, repository does not exist or may require 'docker login'.",
                Some(Fatal),
            ),
            (
                125,
                "docker: Error response from daemon: manifest for a:b not found: manifest unknown.",
                Some(Fatal),
            ),
            (125, "docker: Error response from daemon: No such image: a:latest.", Some(Fatal)),
            (125, "docker: invalid reference format.", Some(Fatal)),
            (
                125,
                "docker: permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: dial unix /var/run/docker.sock: connect: permission denied",
                Some(Fatal),
            ),
            (125, "docker: context \"farm\": context not found", Some(Fatal)),
            (125, &format!("unknown flag: --nope\n{HELP}"), Some(Fatal)),
            (
                125,
                &format!("invalid argument \"x\" for \"--memory\" flag: invalid size: 'x'\n{HELP}"),
                Some(Fatal),
            ),
            (
                127,
                "docker: Error response from daemon: failed to create task for container: exec: \"nope\": executable file not found in $PATH: unknown.",
                Some(Fatal),
            ),
            (
                126,
                "docker: Error response from daemon: failed to create task for container: exec: \"/etc\": is a directory: permission denied.",
                Some(Fatal),
            ),
            (
                127,
                "[FATAL tini (7)] exec no-such-command failed: No such file or directory",
                Some(Fatal),
            ),
            (126, "[FATAL tini (7)] exec /etc failed: Permission denied", Some(Fatal)),
            // It may be another container's port that is in use.
            (
                125,
                "docker: Error response from daemon: driver failed programming external connectivity.",
                None,
            ),
            (125, "the command's own words", None),
            (127, "sh: nope: not found", None),
            (1, "docker: Error response from daemon: connection reset", None),
            (0, "", None),
        ] {
            assert_eq!(hint(code, stderr).map(|hint| hint.kind), expected, "{code} {stderr}");
        }
    }
}
