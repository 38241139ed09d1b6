//! The options of a job that goes on: what is kept of them, and what they become.

use std::{any::Any, path::Path, rc::Rc, sync::Arc};

use super::{
    super::{realm::Realm, reference::JsRef},
    options::OWN_DIR,
};
use crate::{
    Error, Result,
    orchestrator::{JobExecutionOptions, StoredOptions},
    path,
};

impl Realm {
    /// As much of the options of a job as can be kept as JSON, for a job that goes on in another process. What cannot, but
    /// is needed, is named in it.
    pub(in super::super) fn recorded_options(
        &self,
        options: &JobExecutionOptions,
    ) -> Result<Option<Arc<str>>> {
        let js = self.state.js;
        let Some(source) = options_object(options.source.as_ref()) else { return Ok(None) };
        let own = JobExecutionOptions::default().folder();
        let folder = options.job_dir.as_ref().map(|dir| Path::new(&own).join(dir));
        let folder = folder.map(|folder| path::resolve(&folder).to_string_lossy().into_owned());
        let text = |text: Option<&str>| text.map_or_else(|| js.undefined(), |text| js.string(text));
        let arguments = [
            source.get(),
            text(folder.as_deref()),
            js.string(&OWN_DIR.to_string_lossy()),
            js.string(&own),
        ];
        let json = self.caught(self.glue(c"recorded", &arguments))?;
        Ok(js.as_string(json).map(Arc::from))
    }

    /// The options of a job that goes on: those that are known of it, each replaced where `fresh` has another.
    pub(in super::super) fn resumed_options(
        self: &Rc<Self>,
        stored: &StoredOptions,
        fresh: &JsRef,
    ) -> Result<JobExecutionOptions> {
        let js = self.state.js;
        let known = stored.known.as_ref().and_then(|known| options_object(known.source.as_ref()));
        let old = match (known, &stored.recorded) {
            (Some(known), _) => known.get(),
            (None, Some(recorded)) => self.parse_json(recorded)?,
            (None, None) => js.undefined(),
        };
        let options = self.caught(self.glue(c"options", &[old, fresh.get()]))?;
        let missing = self.caught(self.glue(c"missing", &[options]))?;
        if let Some(name) = js.as_string(missing) {
            let again = "given again: the job was submitted with one";
            return Err(Error::invalid(format_args!("options.{name}"), again));
        }
        self.read_options(options, false)
    }
}

fn options_object(source: Option<&Rc<dyn Any>>) -> Option<&JsRef> {
    source?.downcast_ref::<JsRef>()
}
