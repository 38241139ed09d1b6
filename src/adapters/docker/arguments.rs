//! What docker is called with to run a command in a container.

use super::DockerAdapterOptions;
use crate::error::InvalidInput;

/// The labels that every container has: whose it is, and what it renders.
pub(super) const OWNER: &str = "helios.owner";
const JOB: &str = "helios.job";
const CHUNK: &str = "helios.chunk";

/// A command, and the container it shall run in.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) options: &'a DockerAdapterOptions,
    pub(super) name: &'a str,
    /// What is on its labels.
    pub(super) owner: &'a str,
    pub(super) job: &'a str,
    pub(super) chunk: &'a str,
    /// The variables that docker finds in its own environment.
    pub(super) names: &'a [String],
    /// The file with the others.
    pub(super) variable_file: Option<&'a str>,
    /// The folder it runs in, absolute.
    pub(super) cwd: Option<&'a str>,
    pub(super) command: &'a str,
    pub(super) args: &'a [String],
}

impl Run<'_> {
    /// The words after `docker`.
    pub(super) fn arguments(&self) -> Vec<String> {
        // With an init of its own every program hears SIGTERM, also one that says nothing about it.
        let mut words = ["run", "--name", self.name, "--rm", "--init"].map(str::to_owned).to_vec();
        let mut add = |flag: &str, value: String| words.extend([flag.to_owned(), value]);
        for (label, value) in [(OWNER, self.owner), (JOB, self.job), (CHUNK, self.chunk)] {
            add("--label", format!("{label}={value}"));
        }
        for name in self.names {
            add("-e", name.clone());
        }
        if let Some(file) = self.variable_file {
            add("--env-file", file.to_owned());
        }
        if let Some(cwd) = self.cwd {
            // What the user mounts there himself wins. The root of a container can be nobody else's.
            let is_mounted = targets(&self.options.docker_args).any(|target| covers(target, cwd));
            if self.options.mount_job_dir && !is_mounted && cwd != "/" {
                let (flag, value) = bind(cwd);
                add(flag, value);
            }
            if self.options.mount_job_dir || is_mounted {
                add("-w", cwd.to_owned());
            }
        }
        words.extend(self.options.docker_args.iter().cloned());
        words.extend([self.options.image.clone(), self.command.to_owned()]);
        words.extend(self.args.iter().cloned());
        words
    }
}

/// Looks whether containers can be made with these options, and ended.
pub(super) fn check(options: &DockerAdapterOptions) -> Result<(), InvalidInput> {
    let image = &options.image;
    if image.is_empty() {
        return Err(InvalidInput::new("DockerAdapter requires an image option"));
    }
    if image.starts_with('-') {
        let text = format!("image must be the name of an image, not '{image}'");
        return Err(InvalidInput::new(text));
    }
    // A container of another name or owner would not be found, one that is left alone would not be heard.
    let is_name = |word: &str| word == "--name" || word.starts_with("--name=");
    let is_wrong = |word: &str| is_name(word) || word.contains(OWNER) || is_detach(word);
    match options.docker_args.iter().find(|word| is_wrong(word)) {
        Some(word) => Err(InvalidInput::new(format!("dockerArgs must not have '{word}'"))),
        None => Ok(()),
    }
}

/// Whether the user wants to look at containers that have ended.
pub(super) fn keeps(docker_args: &[String]) -> bool {
    docker_args.iter().any(|word| word == "--rm=false")
}

/// Whether a word has docker leave a container alone, also among other switches: `-dit`, `-d=true`.
fn is_detach(word: &str) -> bool {
    /// The switches of `docker run` of one letter.
    const SWITCHES: &str = "diPqt";
    let (flag, value) = word.split_once('=').unwrap_or((word, "true"));
    // As Go reads a boolean.
    let is_true = matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True");
    let Some(letters) = flag.strip_prefix('-').filter(|letters| !letters.starts_with('-')) else {
        return flag == "--detach" && is_true;
    };
    let switches = letters.split(|letter| !SWITCHES.contains(letter)).next().unwrap_or_default();
    // A value is that of the last one.
    let given = if is_true { switches } else { &switches[..switches.len().saturating_sub(1)] };
    given.contains('d')
}

/// How a folder is mounted under its own name.
fn bind(folder: &str) -> (&'static str, String) {
    if !folder.contains(':') {
        return ("-v", format!("{folder}:{folder}"));
    }
    // The fields are those of a line of CSV.
    let field = |name: &str| format!("\"{name}={}\"", folder.replace('"', "\"\""));
    ("--mount", format!("type=bind,{},{}", field("source"), field("target")))
}

/// The folders of a container that mounts among docker's arguments put there.
fn targets(args: &[String]) -> impl Iterator<Item = &str> {
    let mut words = args.iter();
    std::iter::from_fn(move || {
        loop {
            let word = words.next()?;
            let (flag, attached) = match word.split_once('=') {
                Some((flag, value)) => (flag, Some(value)),
                None => (word.as_str(), None),
            };
            let mut value = || attached.or_else(|| words.next().map(String::as_str));
            let target = match flag {
                "-v" | "--volume" => value().map(volume_target),
                "--mount" => value().and_then(mount_target),
                _ => word.strip_prefix("-v").map(volume_target),
            };
            if target.is_some() {
                return target;
            }
        }
    })
}

/// Of `[source:]target[:options]`.
fn volume_target(volume: &str) -> &str {
    volume.split(':').nth(1).unwrap_or(volume)
}

/// Of `type=bind,source=…,target=…`.
fn mount_target(mount: &str) -> Option<&str> {
    let mut fields = mount.split(',').filter_map(|field| field.trim_matches('"').split_once('='));
    fields.find(|(key, _)| matches!(*key, "target" | "dst" | "destination")).map(|(_, value)| value)
}

/// Whether `path` is the folder `target` or below it.
fn covers(target: &str, path: &str) -> bool {
    let target = target.trim_end_matches('/');
    let below = path.strip_prefix(target);
    target.starts_with('/') && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::ForwardEnv;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn options(docker_args: &[&str], mount_job_dir: bool) -> DockerAdapterOptions {
        DockerAdapterOptions {
            image: "film:1".to_owned(),
            docker_args: strings(docker_args),
            forward_env: ForwardEnv::default(),
            mount_job_dir,
        }
    }

    /// What is said of the folder of a job in `cwd`.
    fn folder(docker_args: &[&str], mount_job_dir: bool, cwd: &str) -> String {
        let options = options(docker_args, mount_job_dir);
        let run = Run {
            options: &options,
            name: "n",
            owner: "",
            job: "",
            chunk: "",
            names: &[],
            variable_file: None,
            cwd: Some(cwd),
            command: "render",
            args: &[],
        };
        let words = run.arguments();
        let labels = 5 + 3 * 2;
        words[labels..words.len() - docker_args.len() - 2].join(" ")
    }

    #[test]
    fn what_would_get_out_of_hand_is_refused() {
        for (image, docker_args, expected) in [
            (
                "film:1",
                &[
                    "--cpus",
                    "2",
                    "--rm=false",
                    "-v/d:/d",
                    "-itd=false",
                    "--detach=0",
                    "--detach-keys",
                    "q",
                ][..],
                "",
            ),
            ("", &[], "DockerAdapter requires an image option"),
            ("--privileged", &[], "image must be the name of an image, not '--privileged'"),
            ("film:1", &["--name", "mine"], "dockerArgs must not have '--name'"),
            ("film:1", &["--name=mine"], "dockerArgs must not have '--name=mine'"),
            ("film:1", &["-l", "helios.owner=me"], "dockerArgs must not have 'helios.owner=me'"),
            ("film:1", &["-d"], "dockerArgs must not have '-d'"),
            ("film:1", &["--cpus", "2", "--detach"], "dockerArgs must not have '--detach'"),
            ("film:1", &["-dit"], "dockerArgs must not have '-dit'"),
            ("film:1", &["-itd=1"], "dockerArgs must not have '-itd=1'"),
            ("film:1", &["--detach=T"], "dockerArgs must not have '--detach=T'"),
            ("film:1", &["-tdv/a:/b"], "dockerArgs must not have '-tdv/a:/b'"),
        ] {
            let options =
                DockerAdapterOptions { image: image.to_owned(), ..options(docker_args, true) };
            let refused = check(&options).err().map(|error| error.to_string());
            assert_eq!(refused.unwrap_or_default(), expected, "{image} {docker_args:?}");
        }
    }

    #[test]
    fn words_come_in_the_order_that_lets_users_win() {
        let run = Run {
            options: &options(&["--cpus", "2"], true),
            name: "helios-worker-1",
            owner: "o",
            job: "film = 1",
            chunk: "7",
            names: &strings(&["A", "B"]),
            variable_file: Some("/tmp/f"),
            cwd: Some("/job"),
            command: "sh",
            args: &strings(&["-c", "a b", ""]),
        };
        let expected = [
            ["run", "--name", "helios-worker-1", "--rm", "--init"].as_slice(),
            &[
                "--label",
                "helios.owner=o",
                "--label",
                "helios.job=film = 1",
                "--label",
                "helios.chunk=7",
            ],
            &["-e", "A", "-e", "B", "--env-file", "/tmp/f", "-v", "/job:/job", "-w", "/job"],
            &["--cpus", "2", "film:1", "sh", "-c", "a b", ""],
        ];
        assert_eq!(run.arguments(), strings(&expected.concat()));
    }

    #[test]
    fn folder_of_a_job_is_mounted_unless_it_is_already() {
        for (docker_args, cwd, expected) in [
            (&[][..], "/job", "-v /job:/job -w /job"),
            (&[], "/", "-w /"),
            (&[], "/a:b", "--mount type=bind,\"source=/a:b\",\"target=/a:b\" -w /a:b"),
            (&["-v", "/cache:/job/cache"], "/job", "-v /job:/job -w /job"),
            (&["-v", "/job:/other"], "/job", "-v /job:/job -w /job"),
            (&["-v", "/ssd:/job/:ro"], "/job", "-w /job"),
            (&["-v", "/ssd:/data"], "/data/job", "-w /data/job"),
            (&["-v", "/ssd:/data"], "/database", "-v /database:/database -w /database"),
        ] {
            assert_eq!(folder(docker_args, true, cwd), expected, "{docker_args:?} {cwd}");
        }
    }

    #[test]
    fn folder_that_is_not_mounted_is_used_where_it_is_there() {
        for (docker_args, expected) in [
            (&[][..], ""),
            (&["--cpus", "2"], ""),
            (&["-v", "/job:/elsewhere"], ""),
            (&["-v", "/host:/job"], "-w /job"),
            (&["-v/host:/job:ro"], "-w /job"),
            (&["-v=/host:/job"], "-w /job"),
            (&["-v", "/a=b:/job"], "-w /job"),
            (&["-v/a=b:/job"], "-w /job"),
            (&["--volume", "/host:/job"], "-w /job"),
            (&["--volume=/job"], "-w /job"),
            (&["--mount", "type=bind,src=/host,dst=/job"], "-w /job"),
            (&["--mount=type=volume,\"target=/job\""], "-w /job"),
            (&["--mount", "type=bind,source=/job"], ""),
            (&["--rm", "-v"], ""),
            (&["--volumes-from", "/job"], ""),
        ] {
            assert_eq!(folder(docker_args, false, "/job"), expected, "{docker_args:?}");
        }
    }
}
