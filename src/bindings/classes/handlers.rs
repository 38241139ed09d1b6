//! Workers behind the functions and servers of clouds.

use std::rc::Rc;

use napi::{Env, Unknown};
use napi_derive::napi;

use super::{
    super::{
        abort::AbortListener,
        function::function,
        js::RealmFetch,
        realm::Realm,
        text::JsText,
        value::{Thrown, Value},
    },
    argument, local_adapter, realm, thrown,
};
use crate::{
    Result,
    model::ChunkId,
    orchestrator::AbortSource,
    worker::{Answer, AnswerForm, ChunkRun, ChunkService, Placement, WorkerRuntime},
};

/// Where functions and servers work by default.
const WORKSPACE: &str = "/tmp";

/// Makes a handler for AWS Lambda that runs one chunk per event `{ jobPath, chunkIndex }`; see `WorkerRuntime.run`.
/// Assets are put into a folder of their own for each run, below `config.workspaceDir` (default `/tmp`), which is removed
/// afterwards.
///
/// Answers 200 when the command ended with 0, else 500, with the JSON text of `{ exitCode, output, stderr, outputUrl? }`;
/// 400 with `{ message }` for other events, 500 with `{ message }` for whatever else goes wrong. Of output that does not fit
/// into the 6 MB of an answer the middle is left out. Two seconds before the time of the function is over, by its context,
/// the command is ended, with a 500 that says so. The handler never rejects.
#[napi(
    ts_args_type = "config?: AwsHandlerConfig",
    ts_return_type = "(event: any, context?: any) => Promise<{ statusCode: number; body: string }>"
)]
pub fn create_aws_handler(env: Env, config: Unknown<'_>) -> napi::Result<Unknown<'_>> {
    let realm = realm(env);
    let service = service(&realm, argument(&config), AnswerForm::Lambda, true);
    let service = service.map_err(|error| thrown(&realm, &error))?;
    let of = Rc::clone(&realm);
    let handler = function(&realm.state, move |_, arguments| {
        let [event, context, ..] = *arguments else { unreachable!("functions have arguments") };
        let run = of.read_event(event).and_then(|(path, chunk)| {
            let left = of.read_time_left(context);
            let left = left.map_err(|error| Answer::message(500, &error.to_string()))?;
            let run = ChunkRun::new(path, chunk);
            Ok(match left {
                Some(left) => left.limit(run),
                None => run,
            })
        });
        Ok(answer(&of, &service, run, None))
    });
    Ok(value(&realm, handler))
}

/// A function that runs chunks for the server: `(jobPath, chunkIndex, signal) => Promise<{ statusCode, body }>`. Its
/// definitions come without redirects where only some paths are let in.
#[napi(skip_typescript)]
pub fn chunk_service(env: Env, config: Unknown<'_>, follows: bool) -> napi::Result<Unknown<'_>> {
    let realm = realm(env);
    let service = service(&realm, argument(&config), AnswerForm::Http, follows);
    let service = service.map_err(|error| thrown(&realm, &error))?;
    let of = Rc::clone(&realm);
    let run = function(&realm.state, move |state, arguments| {
        let [path, chunk, signal, ..] = *arguments else {
            unreachable!("functions have arguments")
        };
        let abort = AbortListener::listen(&of, signal)?;
        let path = state.js.to_text(path)?;
        let chunk = ChunkId::new(state.js.to_number(chunk)?);
        let run = ChunkRun { cancel: abort.token.clone(), ..ChunkRun::new(path, chunk) };
        Ok(answer(&of, &service, Ok(run), Some(abort)))
    });
    Ok(value(&realm, run))
}

fn service(
    realm: &Rc<Realm>,
    config: Value,
    form: AnswerForm,
    follows: bool,
) -> Result<Rc<ChunkService>> {
    let config = realm.read_worker_config(config)?;
    let runtime = WorkerRuntime::new(
        config.workspace.unwrap_or_else(|| WORKSPACE.into()),
        Placement::FolderPerRun,
        config.storage,
        Rc::new(local_adapter(realm)),
        RealmFetch::ending(realm, follows),
    );
    Ok(Rc::new(ChunkService::new(runtime, form)))
}

/// A promise of the answer about a run, or of the one that is known already.
fn answer(
    realm: &Rc<Realm>,
    service: &Rc<ChunkService>,
    run: Result<ChunkRun, Answer>,
    abort: Option<AbortSource>,
) -> Value {
    let service = Rc::clone(service);
    let work = async move {
        let answer = match run {
            Ok(run) => service.answer(run).await,
            Err(answer) => answer,
        };
        drop(abort);
        Ok((answer.status, JsText::prepared(answer.body.into()).await))
    };
    realm.promise(work, |realm, (status, body)| {
        let body = body.into_value(realm.state.js);
        let body = body.map_err(|error| Thrown(realm.error_value(&error)))?;
        realm.glue(c"answer", &[realm.state.js.number(status.into()), body])
    })
}

fn value<'env>(realm: &Realm, value: Value) -> Unknown<'env> {
    // SAFETY: the value was made in the callback that is running, in this environment.
    unsafe { Unknown::from_raw_unchecked(realm.state.js.0, value.0) }
}
