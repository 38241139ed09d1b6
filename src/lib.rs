//! Runs the render jobs of the Helios video engine in chunks and joins the chunks into one video.
//!
//! Dependencies point one way: `bindings` → `orchestrator`, `worker` → `adapters`, `repository`, `storage`,
//! `stitcher` → `process`, `cloud` → `model`, `error`. Only `bindings` knows Node-API; without the feature `node` the crate is
//! a plain Rust library.

pub mod adapters;
// Unit tests cannot call it: without Node there is no JavaScript. Its tests are those of the built addon.
#[cfg(all(feature = "node", not(test)))]
mod bindings;
#[cfg(feature = "http")]
pub mod cloud;
pub mod console;
pub mod error;
mod files;
pub mod governance;
mod keyed_lock;
pub mod model;
pub mod orchestrator;
mod path;
pub mod process;
pub mod repository;
pub mod stitcher;
pub mod storage;
mod task;
pub mod worker;

pub use error::{Error, Result};

/// The version of this package.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
