//! Google's tokens: for its own services, and for services of users.

mod access;
mod identity;

pub use access::{AccessTokens, GoogleKey, TokenError};
pub(crate) use identity::{Error, IdTokens};
