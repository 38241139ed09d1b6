//! Amazon: who we are, and how its SDK reaches it.

mod client;
mod credentials;

pub(crate) use client::SharedClient;
pub(crate) use credentials::Kept;
pub use credentials::{Credentials, CredentialsError, CredentialsSource, sdk_config};
