//! Google's tokens.

mod access;

pub use access::{AccessTokens, GoogleKey, TokenError};
