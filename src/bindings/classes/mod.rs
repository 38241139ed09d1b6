//! The classes and functions that the package exports.

#[cfg(feature = "aws")]
mod aws_lambda_adapter;
#[cfg(feature = "http")]
mod azure_functions_adapter;
#[cfg(any(feature = "aws", feature = "gcp"))]
mod bucket_methods;
#[cfg(feature = "gcp")]
mod cloud_run_adapter;
#[cfg(feature = "http")]
mod cloudflare_sandbox_adapter;
#[cfg(feature = "http")]
mod cloudflare_workers_adapter;
#[cfg(feature = "http")]
mod deno_deploy_adapter;
mod docker_adapter;
mod ffmpeg_stitcher;
mod file_job_repository;
#[cfg(feature = "http")]
mod fly_machines_adapter;
mod functions;
#[cfg(feature = "gcp")]
mod gcs_storage_adapter;
mod handlers;
#[cfg(feature = "http")]
mod hetzner_cloud_adapter;
mod in_memory_job_repository;
mod job_executor;
mod job_manager;
#[cfg(feature = "kubernetes")]
mod kubernetes_adapter;
mod local_storage_adapter;
mod local_worker_adapter;
#[cfg(feature = "http")]
mod modal_adapter;
#[cfg(feature = "aws")]
mod r2_storage_adapter;
mod render_executor;
#[cfg(feature = "aws")]
mod s3_storage_adapter;
mod service_adapter;
mod storage;
#[cfg(feature = "http")]
mod vercel_adapter;
mod worker_runtime;

#[cfg(feature = "aws")]
pub(super) use aws_lambda_adapter::AwsLambdaAdapter;
#[cfg(feature = "http")]
pub(super) use azure_functions_adapter::AzureFunctionsAdapter;
#[cfg(feature = "gcp")]
pub(super) use cloud_run_adapter::CloudRunAdapter;
#[cfg(feature = "http")]
pub(super) use cloudflare_sandbox_adapter::CloudflareSandboxAdapter;
#[cfg(feature = "http")]
pub(super) use cloudflare_workers_adapter::CloudflareWorkersAdapter;
#[cfg(feature = "http")]
pub(super) use deno_deploy_adapter::DenoDeployAdapter;
pub(super) use docker_adapter::DockerAdapter;
pub(super) use ffmpeg_stitcher::{FfmpegStitcher, plain_stitcher};
pub(super) use file_job_repository::FileJobRepository;
#[cfg(feature = "http")]
pub(super) use fly_machines_adapter::FlyMachinesAdapter;
#[cfg(feature = "gcp")]
pub(super) use gcs_storage_adapter::GcsStorageAdapter;
#[cfg(feature = "http")]
pub(super) use hetzner_cloud_adapter::HetznerCloudAdapter;
pub(super) use in_memory_job_repository::InMemoryJobRepository;
pub(super) use job_executor::JobExecutor;
#[cfg(feature = "kubernetes")]
pub(super) use kubernetes_adapter::KubernetesAdapter;
pub(super) use local_storage_adapter::LocalStorageAdapter;
pub(super) use local_worker_adapter::LocalWorkerAdapter;
#[cfg(feature = "http")]
pub(super) use modal_adapter::ModalAdapter;
#[cfg(feature = "aws")]
pub(super) use r2_storage_adapter::R2StorageAdapter;
#[cfg(feature = "aws")]
pub(super) use s3_storage_adapter::S3StorageAdapter;
#[cfg(feature = "http")]
pub(super) use vercel_adapter::VercelAdapter;

use std::{
    ffi::CStr,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
};

use napi::{Env, JsValue, Unknown, bindgen_prelude::This};

use super::{
    realm::{Realm, RealmEnvironment},
    state::State,
    value::{Js, Value},
};
use crate::{
    Error, Result, adapters::LocalWorkerAdapter as CoreLocalWorkerAdapter, error::InvalidInput,
};

/// The realm of the caller.
fn realm(env: Env) -> Rc<Realm> {
    State::of(Js(env.raw())).realm()
}

/// The realm of somebody who says `new class(…)`.
///
/// Node-API lets a class be called without `new`, with whatever `this` is then; an error in JavaScript's own words is
/// better than an adapter that is also the global object.
fn constructing(env: Env, this: &This<'_>, class: &CStr) -> napi::Result<Rc<Realm>> {
    let state = State::of(Js(env.raw()));
    let realm = state.realm();
    if state.pristine.is_instance(&state, Value(this.object.raw()), class) {
        return match state.pristine.mark(&state, Value(this.object.raw())) {
            Ok(()) => Ok(realm),
            Err(error) => Err(thrown(&realm, &realm.foreign(error.0))),
        };
    }
    let class = class.to_string_lossy();
    let text = format!("Class constructor {class} cannot be invoked without 'new'");
    Err(thrown(&realm, &Error::InvalidInput(InvalidInput::new(text))))
}

/// An argument.
fn argument(value: &Unknown<'_>) -> Value {
    Value(value.raw())
}

/// An argument that must be a string.
fn string(realm: &Realm, value: &Unknown<'_>, name: &str) -> Result<String> {
    let text = realm.state.js.as_string(argument(value));
    text.ok_or_else(|| Error::invalid(name, "a string"))
}

/// Runs the body of an exported method. It gives a promise; an error or a panic becomes a rejected one.
fn answer<'env>(
    realm: &Rc<Realm>,
    body: impl FnOnce(&Rc<Realm>) -> Result<Value>,
) -> Unknown<'env> {
    let value = realm.state.enter(|_| {
        let outcome = catch_unwind(AssertUnwindSafe(|| body(realm)));
        let outcome = outcome.unwrap_or_else(|_| Err(Error::Panic));
        outcome.unwrap_or_else(|error| realm.settled(Err(error)))
    });
    // SAFETY: the value was made in the callback that is running, in this environment.
    unsafe { Unknown::from_raw_unchecked(realm.state.js.0, value.0) }
}

/// A constructor's failure, thrown as the very error that a method would reject with.
fn thrown(realm: &Realm, error: &Error) -> napi::Error {
    let value = realm.error_value(error);
    // SAFETY: the value was made in the callback that is running, in this environment.
    napi::Error::from(unsafe { Unknown::from_raw_unchecked(realm.state.js.0, value.0) })
}

/// A local adapter for the processes of this environment.
fn local_adapter(realm: &Rc<Realm>) -> CoreLocalWorkerAdapter {
    CoreLocalWorkerAdapter::new(
        Arc::clone(&realm.state.supervisor),
        Rc::new(RealmEnvironment(Rc::clone(realm))),
    )
}
