//! JSON objects of which only a part is known.

use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::json;

/// The fields of a JSON object in their order, each as the very text it came in.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Fields(IndexMap<String, Box<RawValue>>);

impl Fields {
    /// Reads an object.
    pub(crate) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The field as a `T`, if it is there and is one.
    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.0.get(name)?.get()).ok()
    }

    /// Replaces or adds a field.
    pub(crate) fn set(&mut self, name: &str, json: String) {
        let value = RawValue::from_string(json).expect("the text was written as JSON");
        self.0.insert(name.to_owned(), value);
    }

    /// The object on one line (as far as its fields are).
    pub(crate) fn json(&self) -> String {
        json::compact(&self.0)
    }

    /// The object in field `name`, with its own field `key` replaced or added.
    pub(crate) fn merged(&self, name: &str, key: &str, json: String) -> String {
        let mut inner = self.read::<Self>(name).unwrap_or_default();
        inner.set(key, json);
        inner.json()
    }

    /// The object without some of its fields.
    #[cfg(all(feature = "node", not(test)))]
    pub(crate) fn without(&self, names: &[&str]) -> Self {
        let kept = self.0.iter().filter(|(name, _)| !names.contains(&name.as_str()));
        Self(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// The field's text, if it is there.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.get())
    }

    /// The fields and their texts.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.get()))
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
