//! What is done on the native side, on standard error, for those who ask for it by the variable `HELIOS_LOG`.

use std::{
    env,
    io::{self, Write},
    sync::Once,
};

use tracing_subscriber::{
    filter::{LevelFilter, ParseError, Targets},
    fmt,
    layer::SubscriberExt,
    registry,
    util::SubscriberInitExt,
};

/// Where our own events come from: modules of this crate.
const OWN: &str = env!("CARGO_CRATE_NAME");

/// Begins to print, if `HELIOS_LOG` says so when the addon is first loaded in this process.
pub(super) fn begin() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        let Ok(wanted) = env::var("HELIOS_LOG") else { return };
        match filter(&wanted) {
            Ok(filter) => {
                let lines = fmt::layer().with_writer(io::stderr).with_ansi(false);
                // Nobody else in this library would have set one.
                let _ = registry().with(lines).with(filter).try_init();
            }
            // There is nobody else to tell.
            Err(error) => drop(writeln!(io::stderr(), "HELIOS_LOG is not understood: {error}")),
        }
    });
}

/// A level is for what we do ourselves; what libraries do is asked for by name (`hyper_util=debug`).
fn filter(wanted: &str) -> Result<Targets, ParseError> {
    match wanted.parse::<LevelFilter>() {
        Ok(level) => Ok(Targets::new().with_target(OWN, level)),
        Err(_) => wanted.parse(),
    }
}
