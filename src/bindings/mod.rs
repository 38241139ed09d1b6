//! The JavaScript surface: converts, calls one function of the core, converts back.
//!
//! Everything here lives on the thread of its JavaScript environment, except the [`hub`]'s queue and the sinks of
//! running commands. `docs/architecture.md` has the picture.

#![expect(unreachable_pub, reason = "napi-derive exports what is pub, wherever it is")]

mod abort;
mod callback;
mod classes;
mod context;
mod convert;
mod error;
mod function;
mod hub;
mod js;
mod log;
mod pristine;
mod promise;
mod realm;
mod reference;
mod sink;
mod state;
mod text;
mod turn;
mod value;
