//! Those of S3 and R2.

use std::{rc::Rc, sync::Arc};

use super::super::super::{
    js::JsCredentials,
    realm::Realm,
    value::{Type, Value},
};
use crate::{
    Result,
    cloud::aws::{Credentials, CredentialsSource},
    storage::{BucketOptions, S3Options, r2_endpoint},
};

impl Realm {
    /// The options of an `S3StorageAdapter`.
    pub(in super::super::super) fn read_s3_options(
        self: &Rc<Self>,
        options: Value,
    ) -> Result<(S3Options, BucketOptions)> {
        let js = self.state.js;
        let common = self.read_bucket_options(options)?;
        let mut endpoint = self.endpoint(options, c"endpoint")?;
        for name in [c"AWS_ENDPOINT_URL_S3", c"AWS_ENDPOINT_URL"] {
            endpoint = if endpoint.is_none() { self.variable(name)? } else { endpoint };
        }
        let force = self.caught(js.get_some(options, c"forcePathStyle"))?;
        let connect = S3Options {
            region: self.optional(options, c"region")?,
            endpoint,
            force_path_style: force.is_some_and(|force| js.truthy(force)),
            credentials: self.read_credentials_source(options)?,
        };
        Ok((connect, common))
    }

    fn read_credentials_source(
        self: &Rc<Self>,
        options: Value,
    ) -> Result<Option<Arc<dyn CredentialsSource>>> {
        let js = self.state.js;
        let given = self.caught(js.get_some(options, c"credentials"))?;
        let Some(given) = given else { return Ok(None) };
        if js.type_of(given) == Type::Function {
            return Ok(Some(Arc::new(JsCredentials::new(self, given)?)));
        }
        let credentials = self.read_credentials(given, "options.credentials")?;
        // Nobody could be asked for others.
        Ok(Some(Arc::new(Credentials { expiration: None, ..credentials })))
    }

    /// The options of an `R2StorageAdapter`.
    pub(in super::super::super) fn read_r2_options(
        self: &Rc<Self>,
        options: Value,
    ) -> Result<(S3Options, BucketOptions)> {
        let common = self.read_bucket_options(options)?;
        let account = self.required(options, c"accountId")?;
        let credentials = Credentials {
            access_key_id: self.required(options, c"accessKeyId")?,
            secret_access_key: self.required(options, c"secretAccessKey")?,
            ..Credentials::default()
        };
        let connect = S3Options {
            region: Some("auto".to_owned()),
            endpoint: self.endpoint(options, c"endpoint")?.or_else(|| Some(r2_endpoint(&account))),
            force_path_style: true,
            credentials: Some(Arc::new(credentials)),
        };
        Ok((connect, common))
    }
}
