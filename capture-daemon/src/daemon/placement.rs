//! Which CPUs the workers are pinned to, and which are left to everything else: those near the NIC's memory first, and the
//! threads that write and answer out of the workers' way where there are CPUs enough.

use std::fs;
use std::path::Path;

use rustix::io::Errno;
use rustix::thread::{CpuSet, sched_setaffinity};

/// Where the kernel tells of devices and nodes.
const SYSFS: &str = "/sys";

/// Those of the `allowed` CPUs that are on the NUMA node of the interface's device; all, where it has no node or none of its
/// CPUs is allowed.
pub fn near(interface: &str, allowed: Vec<usize>) -> Vec<usize> {
    near_in(Path::new(SYSFS), interface, allowed)
}

fn near_in(sysfs: &Path, interface: &str, allowed: Vec<usize>) -> Vec<usize> {
    let Some((node, cpus)) = node_of(sysfs, interface) else {
        return allowed;
    };
    let near: Vec<usize> = allowed.iter().copied().filter(|cpu| cpus.contains(cpu)).collect();
    if near.is_empty() {
        tracing::warn!("no CPU of {interface}'s NUMA node {node} is allowed to this process");
        return allowed;
    }
    near
}

/// The NUMA node of an interface's device, and its CPUs. A virtual interface has no device, and a machine with one node may
/// say -1 for all (drivers/base/core.c, `set_dev_node`).
fn node_of(sysfs: &Path, interface: &str) -> Option<(u32, Vec<usize>)> {
    let read = |path: String| fs::read_to_string(sysfs.join(path)).ok();
    let node = read(format!("class/net/{interface}/device/numa_node"))?
        .trim()
        .parse()
        .ok()?;
    let cpus = read(format!("devices/system/node/node{node}/cpulist"))?;
    Some((node, cpu_list(cpus.trim())?))
}

/// Reads a list as the kernel writes it: `0-3,8,10-11` (Documentation/admin-guide/cputopology.rst).
fn cpu_list(text: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let last = last.parse::<usize>().ok()?.min(CpuSet::MAX_CPU);
        cpus.extend(first.parse::<usize>().ok()?..=last);
    }
    Some(cpus)
}

/// The CPUs for everything but so many workers, which are pinned to `workers` in turn; none where all are theirs.
fn others(allowed: &[usize], workers: &[usize], lanes: usize) -> Vec<usize> {
    let taken = &workers[..lanes.min(workers.len())];
    allowed.iter().copied().filter(|cpu| !taken.contains(cpu)).collect()
}

/// Keeps the calling thread, and those it starts from now on, off the CPUs of so many workers, which pin themselves. Where the
/// workers have all the CPUs there are, nothing changes.
pub fn keep_off(allowed: &[usize], workers: &[usize], lanes: usize) {
    let others = others(allowed, workers, lanes);
    if others.is_empty() {
        return;
    }
    match run_on(&others) {
        Ok(()) => tracing::debug!("other threads than workers run on CPUs {others:?}"),
        Err(errno) => tracing::warn!("keep other threads off the workers' CPUs: {errno}"),
    }
}

/// The CPUs for a thread that touches workers' memory before they do, which then lies on its NUMA node: of those `near` the interface, the
/// ones that no worker has; where there is none, all of them.
pub fn beside(near: &[usize], workers: &[usize], lanes: usize) -> Beside {
    let free = others(near, workers, lanes);
    let shared = free.is_empty();
    Beside {
        cpus: if shared { near.to_vec() } else { free },
        shared,
    }
}

/// CPUs near those of workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// The CPUs.
    pub cpus: Vec<usize>,
    /// They are the workers' own.
    pub shared: bool,
}

/// Has the calling thread run on these CPUs alone.
///
/// # Errors
/// The errno of sched_setaffinity(2).
pub fn run_on(cpus: &[usize]) -> Result<(), Errno> {
    let mut set = CpuSet::new();
    cpus.iter().for_each(|cpu| set.set(*cpu));
    sched_setaffinity(None, &set)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with two nodes, a NIC on the second, one that does not say where it is, and a virtual interface.
    fn machine() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let file = |path: &str, content: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        file("class/net/eth0/device/numa_node", "1\n");
        file("class/net/eth1/device/numa_node", "-1\n");
        file("class/net/veth0/address", "02:00:00:00:00:01\n");
        file("devices/system/node/node0/cpulist", "0-3,8-11\n");
        file("devices/system/node/node1/cpulist", "4-7,12,14-15\n");
        root
    }

    #[test]
    fn the_node_of_a_nic_is_found_and_that_of_others_is_not_made_up() {
        let root = machine();
        let node = |interface| node_of(root.path(), interface);
        assert_eq!(node("eth0"), Some((1, vec![4, 5, 6, 7, 12, 14, 15])));
        assert_eq!((node("eth1"), node("veth0"), node("eth9")), (None, None, None));
    }

    #[test]
    fn workers_go_near_their_nic_and_what_touches_their_memory_goes_beside_them() {
        let root = machine();
        let near = |interface, allowed: &[usize]| near_in(root.path(), interface, allowed.to_vec());
        let all: Vec<usize> = (0..16).collect();
        assert_eq!(near("eth0", &all), [4, 5, 6, 7, 12, 14, 15]);
        assert_eq!(near("eth0", &[0, 1, 5]), [5]);
        assert_eq!(near("eth0", &[0, 1]), [0, 1], "none of the node's is allowed");
        assert_eq!(near("veth0", &all), all);
        let beside = |near: &[usize], lanes| {
            let beside = beside(near, near, lanes);
            (beside.cpus, beside.shared)
        };
        assert_eq!(beside(&[4, 5, 6, 7], 2), (vec![6, 7], false));
        assert_eq!(
            beside(&[4, 5], 2),
            (vec![4, 5], true),
            "on a worker's CPU rather than on another node"
        );
    }

    #[test]
    fn lists_are_read_as_the_kernel_writes_them() {
        assert_eq!(cpu_list("0"), Some(vec![0]));
        assert_eq!(cpu_list("0-2,5,7-8"), Some(vec![0, 1, 2, 5, 7, 8]));
        assert_eq!(cpu_list(""), Some(Vec::new()));
        assert_eq!((cpu_list("a"), cpu_list("1-"), cpu_list("1-b")), (None, None, None));
    }

    #[test]
    fn other_threads_keep_off_the_workers_where_there_are_cpus_enough() {
        let allowed = [0, 1, 2, 3];
        assert_eq!(others(&allowed, &[2, 3], 2), [0, 1]);
        assert_eq!(others(&allowed, &[2, 3], 1), [0, 1, 3], "one worker needs one");
        assert_eq!(others(&allowed, &[2, 3], 5), [0, 1], "workers share");
        assert_eq!(others(&allowed, &allowed, 4), [0; 0]);
    }
}
