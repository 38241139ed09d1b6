//! Where the progress lines of jobs go.

use std::fmt;

use crate::Error;

/// The console of the caller. The texts are part of the package's interface.
pub trait Console: fmt::Debug {
    /// `console.log(text)`.
    fn log(&self, text: fmt::Arguments<'_>);
    /// `console.warn(text)`.
    fn warn(&self, text: &str);
    /// `console.warn(text, message)`.
    fn warn_with(&self, text: &str, message: &str);
    /// `console.error(text, message)`.
    fn error(&self, text: &str, message: &str);
    /// `console.error(text, error)`: the error itself, not its message.
    fn failure(&self, text: &str, error: &Error);
}

#[cfg(test)]
pub(crate) mod testing {
    use std::cell::RefCell;

    use super::*;

    /// Keeps every line, with the method's name in front.
    #[derive(Debug, Default)]
    pub(crate) struct Recorder {
        pub(crate) lines: RefCell<Vec<String>>,
    }

    impl Recorder {
        fn push(&self, line: String) {
            self.lines.borrow_mut().push(line);
        }
    }

    impl Console for Recorder {
        fn log(&self, text: fmt::Arguments<'_>) {
            self.push(text.to_string());
        }
        fn warn(&self, text: &str) {
            self.push(format!("warn: {text}"));
        }
        fn warn_with(&self, text: &str, message: &str) {
            self.push(format!("warn: {text} {message}"));
        }
        fn error(&self, text: &str, message: &str) {
            self.push(format!("error: {text} {message}"));
        }
        fn failure(&self, text: &str, error: &Error) {
            self.push(format!("error: {text} {error}"));
        }
    }
}
