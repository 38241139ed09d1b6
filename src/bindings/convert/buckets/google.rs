//! Those of Google's storage.

use serde_json::{Map, Value as Json};

use super::super::super::{realm::Realm, value::Value};
use crate::{
    Error, Result,
    cloud::{Secret, google::GoogleKey},
    storage::{BucketOptions, GcsOptions},
};

impl Realm {
    /// The options of a `GcsStorageAdapter`.
    pub(in super::super::super) fn read_gcs_options(
        &self,
        options: Value,
    ) -> Result<(GcsOptions, BucketOptions)> {
        let js = self.state.js;
        let common = self.read_bucket_options(options)?;
        let mut endpoint = self.endpoint(options, c"apiEndpoint")?;
        if endpoint.is_none() {
            endpoint = self.variable(c"STORAGE_EMULATOR_HOST")?;
        }
        let always = self.caught(js.get_some(options, c"useAuthWithCustomEndpoint"))?;
        let key = match self.read_key(options)? {
            None => {
                self.optional(options, c"keyFilename")?.map(|file| GoogleKey::File(file.into()))
            }
            key => key,
        };
        let always_authenticate = always.is_some_and(|always| js.truthy(always));
        Ok((GcsOptions { key, endpoint, always_authenticate }, common))
    }

    /// `credentials`, with what the file of a key has and they need not have.
    fn read_key(&self, options: Value) -> Result<Option<GoogleKey>> {
        let js = self.state.js;
        let given = self.caught(js.get_some(options, c"credentials"))?;
        let Some(given) = given else { return Ok(None) };
        let text = self.caught(self.stringify(given))?.unwrap_or_default();
        let Ok(Json::Object(mut key)) = serde_json::from_slice(&text) else {
            return Err(Error::invalid("options.credentials", "an object"));
        };
        for name in ["client_email", "private_key"] {
            if !key.get(name).is_some_and(Json::is_string) {
                let field = format!("options.credentials.{name}");
                return Err(Error::invalid(field, "a string"));
            }
        }
        default(&mut key, "type", "service_account");
        default(&mut key, "token_uri", "https://oauth2.googleapis.com/token");
        Ok(Some(GoogleKey::Json(Secret(Json::Object(key).to_string()))))
    }
}

fn default(key: &mut Map<String, Json>, name: &str, value: &str) {
    key.entry(name).or_insert_with(|| value.into());
}
