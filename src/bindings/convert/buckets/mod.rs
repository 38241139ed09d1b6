//! The options of storages in buckets.

#[cfg(feature = "aws")]
mod amazon;
#[cfg(feature = "gcp")]
mod google;

use std::ffi::CStr;

use super::super::{
    realm::Realm,
    value::{Type, Value},
};
use crate::{Error, Result, storage::BucketOptions};

impl Realm {
    /// What all of them have in common.
    fn read_bucket_options(&self, options: Value) -> Result<BucketOptions> {
        let js = self.state.js;
        if !js.is_object(options) {
            return Err(Error::invalid("options", "an object"));
        }
        let defaults = BucketOptions::default();
        let dedupe = self.caught(js.get_some(options, c"dedupe"))?;
        Ok(BucketOptions {
            bucket: self.required(options, c"bucket")?,
            concurrency: self.count(options, c"concurrency")?.unwrap_or(defaults.concurrency),
            max_attempts: self.count(options, c"maxAttempts")?.unwrap_or(defaults.max_attempts),
            dedupe: dedupe.is_some_and(|dedupe| js.truthy(dedupe)),
        })
    }

    /// A text that may be missing.
    fn optional(&self, options: Value, name: &CStr) -> Result<Option<String>> {
        let js = self.state.js;
        let Some(value) = self.caught(js.get_some(options, name))? else { return Ok(None) };
        let text = js.as_string(value).filter(|text| !text.is_empty());
        text.map(Some).ok_or_else(|| Error::invalid(field(name), "a string that is not empty"))
    }

    /// A text that must be there.
    fn required(&self, options: Value, name: &CStr) -> Result<String> {
        let text = self.optional(options, name)?;
        text.ok_or_else(|| Error::invalid(field(name), "a string that is not empty"))
    }

    /// A whole number above 0 that may be missing.
    fn count(&self, options: Value, name: &CStr) -> Result<Option<usize>> {
        let js = self.state.js;
        let Some(value) = self.caught(js.get_some(options, name))? else { return Ok(None) };
        let number = js.as_number(value).filter(|number| *number >= 1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is above 0, and what is too large becomes the largest"
        )]
        let number = number.map(|number| number as usize);
        number.map(Some).ok_or_else(|| Error::invalid(field(name), "a number above 0"))
    }

    /// A variable of the caller's environment that says something.
    fn variable(&self, name: &CStr) -> Result<Option<String>> {
        let js = self.state.js;
        let value = self.caught(js.get_some(self.caught(self.environment())?, name))?;
        Ok(value.and_then(|value| js.as_string(value)).filter(|text| !text.is_empty()))
    }

    /// The URL of a service: a string, or a `URL`.
    fn endpoint(&self, options: Value, name: &CStr) -> Result<Option<String>> {
        let js = self.state.js;
        let Some(value) = self.caught(js.get_some(options, name))? else { return Ok(None) };
        let text = match js.type_of(value) {
            Type::Object => self.optional(value, c"href").unwrap_or_default(),
            _ => js.as_string(value).filter(|text| !text.is_empty()),
        };
        text.map(Some).ok_or_else(|| Error::invalid(field(name), "a URL"))
    }
}

fn field(name: &CStr) -> String {
    format!("options.{}", name.to_string_lossy())
}
