//! What is run in a sandbox: all of it are commands for a POSIX shell.

use super::super::service::quoted;

/// Where a chunk is rendered.
pub(super) const FOLDER: &str = "/workspace/helios";
/// So much of a log is brought back: its end, in bytes.
const MAX_LOG: u32 = 8 * 1024 * 1024;

/// Begins to render, in the background. The definition of the job goes into `job.json` where it can be fetched, and into
/// the environment as what workers are told elsewhere.
pub(super) fn start(words: &[String], job_path: Option<&str>, chunk: &str) -> String {
    let command: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    let is_http = |url: &&str| url.starts_with("http://") || url.starts_with("https://");
    let fetch = job_path.filter(is_http).map_or_else(String::new, |url| {
        format!("curl -fsSL --retry 3 -o job.json {} && ", quoted(url))
    });
    let path = quoted(job_path.unwrap_or_default());
    let run = format!(
        "HELIOS_JOB_PATH={path} HELIOS_CHUNK_INDEX={} {} >log 2>&1 </dev/null; echo $? >exit.part; mv exit.part exit",
        quoted(chunk),
        command.join(" "),
    );
    // `setsid`: it goes on when the shell that began it has ended.
    format!(
        "mkdir -p {FOLDER} && cd {FOLDER} && {fetch}touch log && {{ setsid sh -c {} >/dev/null 2>&1 & }}",
        quoted(&run),
    )
}

/// Says the exit code, nothing while it renders, and `gone` in a sandbox that has been started anew meanwhile.
pub(super) fn look() -> String {
    format!(
        "cd {FOLDER} 2>/dev/null && test -f log || {{ echo gone; exit; }}; cat exit 2>/dev/null; true"
    )
}

/// Gives the log.
pub(super) fn log() -> String {
    format!("tail -c {MAX_LOG} {FOLDER}/log")
}

/// `text` without what terminals take for colours and movements:
/// [ECMA-48](https://ecma-international.org/publications-and-standards/standards/ecma-48/), 5.3 and 5.4.
pub(super) fn plain(text: &str) -> String {
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('\u{1b}') {
        plain.push_str(&rest[..at]);
        let sequence = &rest[at + 1..];
        rest = match sequence.chars().next() {
            // A control sequence: parameters, then one letter or so.
            Some('[') => {
                let body = &sequence[1..];
                let end = body.find(|c: char| !matches!(c, '\u{20}'..='\u{3f}'));
                end.map_or("", |end| after(&body[end..]))
            }
            // A command for the terminal itself, such as its title: up to a bell or `ESC \`.
            Some(']' | 'P' | '^' | '_') => {
                let end = sequence.find(['\u{7}', '\u{1b}']);
                end.map_or("", |end| match sequence[end..].strip_prefix('\u{1b}') {
                    Some(rest) => rest.strip_prefix('\\').unwrap_or(rest),
                    None => &sequence[end + 1..],
                })
            }
            Some(_) => after(sequence),
            None => "",
        };
    }
    plain + rest
}

/// What follows the first character.
fn after(text: &str) -> &str {
    let mut characters = text.chars();
    characters.next();
    characters.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_commands_are_left_out() {
        for (text, expected) in [
            ("plain ü", "plain ü"),
            ("\u{1b}[1;31mred\u{1b}[0m!", "red!"),
            ("\u{1b}[2K\u{1b}[1Gframe 1", "frame 1"),
            ("\u{1b}]0;title\u{7}a\u{1b}]8;;x\u{1b}\\b", "ab"),
            ("\u{1b}cü\u{1b}", "ü"),
            ("a\u{1b}[", "a"),
            ("a\u{1b}]x", "a"),
        ] {
            assert_eq!(plain(text), expected, "{text:?}");
        }
    }

    #[test]
    fn definition_is_fetched_where_it_can_be() {
        let start = |url| start(&["a b".to_owned()], url, "3");
        assert!(
            start(Some("https://x/job.json"))
                .contains("curl -fsSL --retry 3 -o job.json 'https://x/job.json' && ")
        );
        assert!(!start(Some("s3://b/job.json")).contains("curl"));
        assert!(!start(None).contains("curl"));
    }
}
