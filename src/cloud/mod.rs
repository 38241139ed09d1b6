//! What adapters and storages in clouds share: one HTTP client, credentials, and one view of what failures mean.

#[cfg(feature = "aws")]
pub mod aws;
pub(crate) mod failure;
#[cfg(feature = "gcp")]
pub mod google;
pub(crate) mod http;
mod secret;

pub use secret::Secret;
