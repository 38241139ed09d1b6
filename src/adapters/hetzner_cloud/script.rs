//! What a server does: it runs the command, hands in what came of it, and turns itself off.

use std::collections::BTreeMap;

use super::super::service::quoted;

/// The longest [user data](https://docs.hetzner.cloud/reference/cloud#servers-create-a-server) that the API takes, in bytes.
pub(super) const MAX_SCRIPT: usize = 32 * 1024;
/// So much of each stream is handed in: its end.
const MAX_OUTPUT: u32 = 8 * 1024 * 1024;

/// The script that cloud-init runs, as root, when the server has started.
pub(super) fn script(
    command: &str,
    args: &[String],
    env: &BTreeMap<String, String>,
    put: &str,
) -> String {
    // Not by `export`, which takes some names only.
    let mut words: Vec<_> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    words.push(command.to_owned());
    words.extend_from_slice(args);
    let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    format!(
        r#"#!/bin/sh
# Whatever happens, the server ends: it costs money until it is deleted.
trap 'poweroff' EXIT
dir=$(mktemp -d) && cd "$dir" || exit
(
export HOME="${{HOME:-/root}}"
exec env {}
) >"$dir/out" 2>"$dir/err" </dev/null
code=$?
for stream in out err; do
  tail -c {MAX_OUTPUT} "$dir/$stream" >"$dir/$stream.end"
done
{{
  echo "$code $(wc -c <"$dir/out.end") $(wc -c <"$dir/err.end")"
  cat "$dir/out.end" "$dir/err.end"
}} >"$dir/result"
for pause in 1 2 4 8 16 0; do
  if command -v curl >/dev/null; then
    curl -fsS --max-time 300 -X PUT -H 'Content-Type: application/octet-stream' --data-binary "@$dir/result" {url} && break
  else
    wget -q -O /dev/null --method=PUT --header='Content-Type: application/octet-stream' --body-file="$dir/result" {url} && break
  fi
  sleep "$pause"
done
"#,
        words.join(" "),
        url = quoted(put),
    )
}

/// What a server has handed in: exit code, standard output, standard error.
pub(super) fn read(result: &[u8]) -> Option<(i32, String, String)> {
    let end = result.iter().position(|byte| *byte == b'\n')?;
    let head = std::str::from_utf8(&result[..end]).ok()?;
    let rest = &result[end + 1..];
    let mut numbers = head.split_ascii_whitespace();
    let code = numbers.next()?.parse().ok()?;
    let (out, err): (usize, usize) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    // What was cut off on its way is no result.
    if numbers.next().is_some() || out.checked_add(err)? != rest.len() {
        return None;
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((code, text(&rest[..out]), text(&rest[out..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_words() {
        assert_eq!(quoted("a 'b' $c"), r"'a '\''b'\'' $c'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn results_are_whole_or_none() {
        let some = |code, out: &str, err: &str| Some((code, out.to_owned(), err.to_owned()));
        for (result, expected) in [
            ("0 3 2\nouter", some(0, "out", "er")),
            ("7 0 0\n", some(7, "", "")),
            ("0 3 2\noute", None),
            ("0 3 2\nouters", None),
            ("0 3\nout", None),
            ("x 0 0\n", None),
            ("0 0 0", None),
            ("", None),
            ("0 18446744073709551615 2\nab", None),
        ] {
            assert_eq!(read(result.as_bytes()), expected, "{result}");
        }
    }
}
