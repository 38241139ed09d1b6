//! A child and everything that came of it, wherever it went.

use std::{collections::HashSet, time::Duration};

use rustix::{
    io::Errno,
    process::{Pid, Signal, getpid, kill_process, kill_process_group, test_kill_process_group},
};
use tokio::process::Child;

use super::{
    super::{Activity, Mark},
    census::{Census, Process, is_marked},
};

/// The unit of processor time: `USER_HZ` on Linux; ps(1) gives hundredths of seconds too.
const TICK: Duration = Duration::from_millis(10);

/// No process has this id, none is started by it and none in a group of it.
const NOBODY: i32 = -1;

/// How a tree is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Order {
    /// By itself: each process is told once.
    Terminate,
    /// At once: all are told each time.
    Kill,
}

/// A child, what it started, what these started, and so on: whoever has its group, its session or its mark, or a member
/// for a parent. Groups and sessions in which a member was seen are remembered: Chromium's helpers leave the group, drop
/// the environment and outlive their parents.
#[derive(Debug)]
pub(in super::super) struct Tree {
    leader: i32,
    mark: Mark,
    groups: HashSet<i32>,
    sessions: HashSet<i32>,
    /// Who was told to end by itself, by id and start.
    told: HashSet<(i32, u64)>,
    /// What tells nothing, as this process and others share it.
    here: Here,
}

/// Where this process is. Group and session are 0 when their leader is outside of this PID namespace: then they are those of
/// everybody who came in with us, and of our children too.
#[derive(Clone, Copy, Debug)]
struct Here {
    pid: i32,
    group: i32,
    session: i32,
}

impl Here {
    fn now() -> Self {
        let pid = Pid::as_raw(Some(getpid()));
        Self { pid, group: own_group(), session: own_session() }
    }
}

impl Tree {
    /// The tree of a child that leads a process group of its own.
    pub(in super::super) fn of(_child: &Child, leader: u32, mark: Mark) -> Self {
        Self::seen_from(Here::now(), leader.cast_signed(), mark)
    }

    /// What attempts have left whose supervisor has died: all whose marks begin with this.
    pub(in super::super) fn remains(mark: Mark) -> Self {
        Self { groups: HashSet::new(), ..Self::seen_from(Here::now(), NOBODY, mark) }
    }

    fn seen_from(here: Here, leader: i32, mark: Mark) -> Self {
        let groups = HashSet::from([leader]);
        Self { leader, mark, groups, sessions: HashSet::new(), told: HashSet::new(), here }
    }

    /// Gives an order to the child and to those who have stayed in its group, in one go.
    pub(in super::super) fn order_group(&self, order: Order) {
        order_group(self.leader.cast_unsigned(), order);
    }

    /// The id of the child's group, if anybody is in it.
    pub(in super::super) fn group(&self) -> Option<u32> {
        let group = Pid::from_raw(self.leader)?;
        let exists = test_kill_process_group(group) != Err(Errno::SRCH);
        exists.then(|| self.leader.cast_unsigned())
    }

    /// Gives an order to all of the tree that `census` shows; gives who is still running.
    pub(in super::super) fn order(&mut self, census: &Census, order: Order) -> Vec<u32> {
        // Before the first of them is told: with a parent its children's descent is lost.
        let members = self.members(census);
        if order == Order::Terminate && self.told.is_empty() && self.leader != NOBODY {
            // In one go, so that nobody is started in between.
            self.order_group(order);
        }
        for member in &members {
            let is_first = self.told.insert((member.pid, member.started));
            // Those in the first group were told together.
            if order == Order::Kill || (is_first && member.group != self.leader) {
                signal(member.pid, order, kill_process);
            }
        }
        members.iter().map(|member| member.pid.cast_unsigned()).collect()
    }

    /// What the tree is doing.
    pub(in super::super) fn activity(&mut self, census: &Census) -> Activity {
        let members = self.members(census);
        let ticks: u64 = members.iter().map(|member| member.ticks).sum();
        let has = |states: &str| members.iter().any(|member| states.contains(member.state));
        let state = match () {
            () if members.is_empty() => "gone",
            () if has("R") => "running",
            () if has("DU") => "waiting for a disk or device",
            () if members.iter().all(|member| "Tt".contains(member.state)) => "stopped",
            () => "sleeping",
        };
        let cpu = TICK * u32::try_from(ticks).unwrap_or(u32::MAX);
        Activity { processes: members.len(), state, cpu }
    }

    /// Whoever is still running may go on. Nothing holds them here.
    #[expect(
        clippy::unused_self,
        clippy::needless_pass_by_ref_mut,
        reason = "there is something to do elsewhere"
    )]
    pub(in super::super) fn release(&mut self) {}

    fn members(&mut self, census: &Census) -> Vec<Process> {
        let mark = self.mark.clone();
        // Whoever was started before us has no mark of ours: most of `/proc/*/environ` need not be read.
        let own = census.find(self.here.pid).filter(|_| self.leader != NOBODY);
        let begun = own.map_or(0, |own| own.started);
        self.belonging(census, |process| {
            process.started >= begun && is_marked(process, mark.as_str())
        })
    }

    /// Who belongs to the tree. Where they are is remembered.
    fn belonging(&mut self, census: &Census, is_marked: impl Fn(Process) -> bool) -> Vec<Process> {
        let mut others: Vec<Process> =
            census.processes.iter().copied().filter(|other| other.pid != self.here.pid).collect();
        let mut pids = HashSet::from([self.leader]);
        let mut members = Vec::new();
        let mut looked_at_marks = false;
        loop {
            let before = members.len();
            others.retain(|&other| {
                let is_leader = other.pid == self.leader && other.parent == self.here.pid;
                let belongs = is_leader
                    || self.groups.contains(&other.group)
                    || self.sessions.contains(&other.session)
                    || pids.contains(&other.parent)
                    || (looked_at_marks && is_marked(other));
                if belongs {
                    pids.insert(other.pid);
                    self.remember(other);
                    members.push(other);
                }
                !belongs
            });
            if members.len() > before {
                continue;
            }
            if looked_at_marks {
                break;
            }
            // The dearest look comes last.
            looked_at_marks = true;
        }
        members.retain(|member| member.is_running());
        members
    }

    fn remember(&mut self, member: Process) {
        if ![self.here.group, 0].contains(&member.group) {
            self.groups.insert(member.group);
        }
        if ![self.here.session, 0].contains(&member.session) {
            self.sessions.insert(member.session);
        }
    }
}

/// The group of this process; 0 when its leader is outside of this PID namespace, which rustix takes for impossible.
pub(super) fn own_group() -> i32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::getpgrp() }
}

/// The session of this process, likewise.
fn own_session() -> i32 {
    // SAFETY: takes a number; the session of this process can always be asked for.
    unsafe { libc::getsid(0) }
}

/// Gives an order to a process group.
pub(super) fn order_group(leader: u32, order: Order) {
    signal(leader.cast_signed(), order, kill_process_group);
}

/// Gives an order to a process or a group. It may be gone (ESRCH) or have changed its user (EPERM): whether it is gone
/// is looked at afterwards.
fn signal(id: i32, order: Order, send: fn(Pid, Signal) -> Result<(), Errno>) {
    let Some(pid) = Pid::from_raw(id) else { return };
    match order {
        Order::Terminate => {
            let _ = send(pid, Signal::TERM);
            // Whoever is stopped hears nothing until he goes on.
            let _ = send(pid, Signal::CONT);
        }
        Order::Kill => {
            let _ = send(pid, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::Marks, *};

    const HERE: Here = Here { pid: 10, group: 10, session: 5 };

    fn process(pid: i32, parent: i32, group: i32, session: i32) -> Process {
        Process { pid, parent, group, session, state: 'S', started: 1, ticks: 0 }
    }

    fn tree() -> Tree {
        Tree::seen_from(HERE, 20, Marks::default().next())
    }

    fn found(tree: &mut Tree, marked: &[i32], processes: &[Process]) -> Vec<i32> {
        let mut processes = processes.to_vec();
        processes.insert(0, process(HERE.pid, 1, HERE.group, HERE.session));
        let census = Census { processes };
        let members = tree.belonging(&census, |process| marked.contains(&process.pid));
        let mut pids: Vec<i32> = members.iter().map(|member| member.pid).collect();
        pids.sort_unstable();
        pids
    }

    #[test]
    fn group_session_parents_and_mark_are_followed() {
        let leader = process(20, 10, 20, 5);
        let table = [
            ("group", process(30, 1, 20, 5), vec![20, 30]),
            ("child in a group of its own", process(30, 20, 30, 5), vec![20, 30]),
            ("child in a session of its own", process(30, 20, 30, 30), vec![20, 30]),
            ("neighbour", process(30, 10, 30, 5), vec![20]),
            ("neighbour in our group", process(30, 10, 10, 5), vec![20]),
            ("our parent", process(5, 1, 5, 5), vec![20]),
        ];
        for (what, other, expected) in table {
            assert_eq!(found(&mut tree(), &[], &[other, leader]), expected, "{what}");
        }
        let daemon = process(30, 1, 30, 30);
        assert_eq!(found(&mut tree(), &[30], &[leader, daemon]), [20, 30]);
        let of_daemon = process(31, 30, 31, 31);
        assert_eq!(found(&mut tree(), &[30], &[of_daemon, leader, daemon]), [20, 30, 31]);
    }

    #[test]
    fn what_is_led_from_outside_of_the_namespace_tells_nothing() {
        let here = Here { pid: 10, group: 0, session: 0 };
        let mut tree = Tree::seen_from(here, 20, Marks::default().next());
        let strangers = [process(30, 10, 0, 0), process(31, 0, 0, 0)];
        let members = [process(20, 10, 20, 0), process(21, 20, 0, 0)];
        assert_eq!(found(&mut tree, &[], &[strangers, members].concat()), [20, 21]);
    }

    #[test]
    fn where_a_member_was_seen_is_remembered() {
        let mut tree = tree();
        let helper = process(30, 20, 30, 30);
        assert_eq!(found(&mut tree, &[], &[process(20, 10, 20, 5), helper]), [20, 30]);
        // Its parents are gone, and it has started another, which left its group.
        let orphan = process(31, 1, 31, 30);
        assert_eq!(found(&mut tree, &[], &[orphan]), [31]);
        assert_eq!(found(&mut tree, &[], &[process(32, 1, 31, 32)]), [32]);
    }

    #[test]
    fn dead_ones_lead_to_their_children_but_do_not_count() {
        let zombie = Process { state: 'Z', ..process(20, 10, 20, 5) };
        assert_eq!(found(&mut tree(), &[], &[zombie, process(30, 20, 30, 5)]), [30]);
        assert_eq!(found(&mut tree(), &[], &[zombie]), [0; 0]);
    }

    #[test]
    fn activity_is_that_of_the_busiest() {
        let census = Census {
            processes: vec![
                Process { ticks: 150, ..process(20, 10, 20, 5) },
                Process { state: 'R', ticks: 50, ..process(21, 20, 20, 5) },
                Process { ticks: 1000, ..process(40, 10, 40, 5) },
            ],
        };
        let activity = tree().activity(&census);
        let expected = Activity { processes: 2, state: "running", cpu: Duration::from_secs(2) };
        assert_eq!(activity, expected);
    }
}
