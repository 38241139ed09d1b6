//! JSON exactly as JavaScript's `JSON.stringify` writes it.

use std::{fmt, io};

use serde::Serialize;

/// The indentation of job files: `JSON.stringify(value, null, 2)`.
const INDENT: usize = 2;

/// `number` as `JSON.stringify` writes it: the shortest text, `null` when it is not finite.
pub fn number(number: f64) -> String {
    if number.is_finite() { display(number).to_string() } else { "null".to_owned() }
}

/// `number` as JavaScript prints it in a template literal.
pub fn display(number: f64) -> impl fmt::Display {
    struct Number(f64);
    impl fmt::Display for Number {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
            if self.0.fract() == 0.0 && self.0.abs() < 1e15 {
                // Ids and counts: a tenth of the work.
                return (self.0 as i64).fmt(f);
            }
            f.write_str(ryu_js::Buffer::new().format(self.0))
        }
    }
    Number(number)
}

/// `text` quoted and escaped. serde_json and JavaScript escape the same characters in the same way.
pub fn string(text: &str) -> String {
    compact(text)
}

/// `value` without white space.
pub(crate) fn compact<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("strings, lists and maps with string keys always serialise")
}

/// Writes valid JSON `source` with two spaces of indentation, starting at `depth`, byte for byte as
/// `JSON.stringify(value, null, 2)` would. White space of the source is dropped.
///
/// # Errors
/// What `out` fails with.
pub fn indent(
    source: &[u8],
    mut depth: usize,
    out: &mut (impl io::Write + ?Sized),
) -> io::Result<()> {
    let mut at = 0;
    // A newline is due before the next token, unless that token closes an empty list or object.
    let mut opened = false;
    while let Some(&byte) = source.get(at) {
        let start = at;
        at += 1;
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => continue,
            b'}' | b']' => {
                depth -= 1;
                if !std::mem::take(&mut opened) {
                    newline(depth, out)?;
                }
                out.write_all(&[byte])?;
                continue;
            }
            _ if std::mem::take(&mut opened) => newline(depth, out)?,
            _ => {}
        }
        match byte {
            b'{' | b'[' => {
                depth += 1;
                opened = true;
                out.write_all(&[byte])?;
            }
            b',' => {
                out.write_all(b",")?;
                newline(depth, out)?;
            }
            b':' => out.write_all(b": ")?,
            b'"' => {
                at = end_of_string(source, at);
                out.write_all(&source[start..at])?;
            }
            _ => {
                let rest = &source[at..];
                at += rest.iter().position(|b| b",]} \n\r\t".contains(b)).unwrap_or(rest.len());
                out.write_all(&source[start..at])?;
            }
        }
    }
    Ok(())
}

/// Valid JSON without white space; `None` for what is none.
#[cfg(feature = "gcp")]
pub(crate) fn squeezed(text: &str) -> Option<String> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
    let source = text.as_bytes();
    let (mut squeezed, mut at) = (String::with_capacity(text.len()), 0);
    while let Some(&byte) = source.get(at) {
        let start = at;
        at = if byte == b'"' { end_of_string(source, at + 1) } else { at + 1 };
        if !b" \n\r\t".contains(&byte) {
            squeezed.push_str(&text[start..at]);
        }
    }
    Some(squeezed)
}

fn newline(depth: usize, out: &mut (impl io::Write + ?Sized)) -> io::Result<()> {
    const SPACES: [u8; 64] = [b' '; 64];
    out.write_all(b"\n")?;
    let mut left = depth * INDENT;
    while left > 0 {
        let now = left.min(SPACES.len());
        out.write_all(&SPACES[..now])?;
        left -= now;
    }
    Ok(())
}

/// The index behind the closing quote of the string whose text begins at `at`.
fn end_of_string(source: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = source.get(at) {
        at += match byte {
            b'"' => return at + 1,
            b'\\' => 2,
            _ => 1,
        };
    }
    source.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn indented(source: &str) -> String {
        let mut out = Vec::new();
        indent(source.as_bytes(), 0, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn empty_lists_and_objects_stay_on_one_line() {
        assert_eq!(
            indented(r#"{"a":[],"b":{},"c":[{}]}"#),
            "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    {}\n  ]\n}"
        );
    }

    #[test]
    fn brackets_and_quotes_inside_strings_are_left_alone() {
        assert_eq!(indented(r#"["a\"],{\\","b"]"#), "[\n  \"a\\\"],{\\\\\",\n  \"b\"\n]");
    }

    #[test]
    fn white_space_of_the_source_is_dropped() {
        assert_eq!(indented(" [ 1 , { } , [ ] ]\n"), indented("[1,{},[]]"));
    }

    #[test]
    fn numbers_are_written_as_javascript_does() {
        for (value, text) in [
            (1e21, "1e+21"),
            (1e16, "10000000000000000"),
            (0.1, "0.1"),
            (-0.0, "0"),
            (f64::NAN, "null"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i32>().prop_map(Into::into),
            ".*".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::hash_map(".*", inner, 0..5)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn indentation_equals_the_pretty_printer(value in any_json()) {
            prop_assert_eq!(indented(&value.to_string()), format!("{value:#}"));
        }
    }
}
