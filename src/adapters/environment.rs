//! What workers elsewhere learn of the environment.

use std::collections::BTreeMap;

use crate::process::Environment;

/// Which variables go to workers elsewhere, beside those that a job sets for itself.
#[derive(Clone, Debug)]
pub enum ForwardEnv {
    /// These.
    Named(Vec<String>),
    /// All.
    All,
}

impl Default for ForwardEnv {
    fn default() -> Self {
        Self::Named(Vec::new())
    }
}

impl ForwardEnv {
    /// The variables of a job with these `changes` to the environment `here`. Those it only repeats do not count as its own:
    /// callers hand over all of `process.env`, secrets included.
    pub(crate) fn pick(
        &self,
        changes: Vec<(String, Option<String>)>,
        mut here: Environment,
    ) -> BTreeMap<String, String> {
        let is_own = |name: &str, value: &str| here.get(name).is_none_or(|here| here != value);
        let mut picked: BTreeMap<_, _> = changes
            .iter()
            .filter_map(|(name, value)| value.as_ref().map(|value| (name.clone(), value.clone())))
            .filter(|(name, value)| is_own(name, value))
            .collect();
        here.apply(changes);
        let wanted = here.0.into_iter().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            self.forwards(&name).then_some((name, value.into_string().ok()?))
        });
        picked.extend(wanted);
        picked
    }

    fn forwards(&self, name: &str) -> bool {
        match self {
            Self::Named(names) => names.iter().any(|forwarded| forwarded == name),
            Self::All => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_job_sets_for_itself_goes_out() {
        let here = || {
            Environment(
                [("HOME", "/root"), ("TOKEN", "secret")]
                    .map(|(name, value)| (name.into(), value.into()))
                    .into(),
            )
        };
        let set = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
        let named = |names: &[&str]| {
            ForwardEnv::Named(names.iter().map(|name| (*name).to_owned()).collect())
        };
        let copy = || vec![set("HOME", Some("/root")), set("TOKEN", Some("secret"))];
        for (forward, changes, expected) in [
            (named(&[]), vec![], ""),
            (named(&[]), copy(), ""),
            (
                named(&[]),
                vec![set("HOME", Some("/home")), set("A", Some("1")), set("B", None)],
                "A=1 HOME=/home",
            ),
            (named(&["TOKEN", "NONE"]), vec![], "TOKEN=secret"),
            (named(&["TOKEN"]), vec![set("TOKEN", None)], ""),
            (named(&["TOKEN"]), vec![set("TOKEN", Some("own"))], "TOKEN=own"),
            (ForwardEnv::All, vec![set("HOME", None), set("A", Some(""))], "A= TOKEN=secret"),
        ] {
            let picked = forward.pick(changes, here());
            let text: Vec<_> =
                picked.iter().map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!(text.join(" "), expected);
        }
    }
}
