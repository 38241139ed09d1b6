//! Who we are to the clouds.

#[cfg(feature = "aws")]
pub mod aws;
#[cfg(feature = "gcp")]
pub mod google;
