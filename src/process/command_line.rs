//! Splits command strings into words. No shell is involved and nothing is expanded.

use super::Error;

/// Splits `command` on white space outside quotes.
///
/// The whole string is trimmed first. `'…'` and `"…"` group and vanish, also inside a word; `''` gives an empty word. A
/// backslash makes the next character literal everywhere, also inside single quotes, and vanishes; one at the very end
/// just vanishes. An unclosed quote runs to the end.
///
/// # Errors
/// [`Error::EmptyCommand`] when the string holds no word.
pub fn split(command: &str) -> Result<Vec<String>, Error> {
    let command = check(command)?;
    let mut words = Vec::new();
    // `None` between words; quotes alone already make a word.
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = command.chars();
    while let Some(char) = chars.next() {
        match (char, quote) {
            ('\\', _) => {
                if let Some(literal) = chars.next() {
                    word.get_or_insert_default().push(literal);
                }
            }
            (_, Some(open)) if char == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (_, None) if is_space(char) => words.extend(word.take()),
            _ => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    Ok(words)
}

/// [`split`] into the program and its arguments.
///
/// # Errors
/// [`Error::EmptyCommand`] when the string holds no word.
pub fn program_of(command: &str) -> Result<(String, Vec<String>), Error> {
    let mut words = split(command)?.into_iter();
    Ok((words.next().unwrap_or_default(), words.collect()))
}

/// That `command` holds a word: all that holds none is white space and a lone backslash. Gives it without the white space
/// around it.
///
/// # Errors
/// [`Error::EmptyCommand`] when the string holds no word.
pub fn check(command: &str) -> Result<&str, Error> {
    let command = command.trim_matches(is_space);
    if matches!(command, "" | "\\") { Err(Error::EmptyCommand) } else { Ok(command) }
}

/// JavaScript's `\s`: Unicode's white space without NEXT LINE, with the byte order mark.
fn is_space(char: char) -> bool {
    char == '\u{feff}' || (char.is_whitespace() && char != '\u{85}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_the_contract_says() {
        let table: &[(&str, &[&str])] = &[
            ("a b", &["a", "b"]),
            ("  a\t b\n", &["a", "b"]),
            ("'a b' \"c d\"", &["a b", "c d"]),
            ("a'b c'd", &["ab cd"]),
            ("a '' b", &["a", "", "b"]),
            ("''", &[""]),
            (r"a\ b", &["a b"]),
            (r"'a\'b'", &["a'b"]),
            (r#""a\"b""#, &["a\"b"]),
            (r"a\", &["a"]),
            (r"a \", &["a"]),
            ("a \"b  ", &["a", "b"]),
            ("a\u{a0}b\u{feff}c\u{85}d", &["a", "b", "c\u{85}d"]),
            ("$HOME *", &["$HOME", "*"]),
        ];
        for (command, words) in table {
            assert_eq!(split(command).unwrap(), *words, "{command:?}");
        }
    }

    #[test]
    fn blank_commands_are_refused() {
        for command in ["", " ", "\u{feff}\n", "\\", " \\ "] {
            assert_eq!(split(command).unwrap_err().to_string(), "Command string cannot be empty");
        }
    }
}
