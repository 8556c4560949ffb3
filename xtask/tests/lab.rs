//! The laboratory itself: namespaces and links, made and gone again.

use std::net::UdpSocket;
use std::time::Duration;

use xtask::lab::{End, Need, Netns, require, veth};

const NEEDS: [Need<'_>; 3] = [Need::Root, Need::Program("ip"), Need::Program("ethtool")];

#[test]
fn a_namespace_goes_with_its_processes() {
    if !require("a_namespace_goes_with_its_processes", &NEEDS) {
        return;
    }
    let netns = Netns::new("gone").unwrap();
    let path = netns.path();
    // Not through the guard of `spawn`: the namespace's own drop has to find it.
    let mut child = netns.command("sleep").arg("600").spawn().unwrap();
    // `ip netns exec` has entered the namespace once the program is `sleep`.
    xtask::lab::process::wait_for("sleep in the namespace", Duration::from_secs(10), || {
        let name = std::fs::read_to_string(format!("/proc/{}/comm", child.id()))?;
        Ok((name.trim() == "sleep").then_some(()))
    })
    .unwrap();
    assert!(path.exists());
    // A killed child stays a zombie until it is waited for, and a zombie is in no namespace any more.
    drop(netns);
    assert!(!path.exists());
    assert!(!child.wait().unwrap().success());
}

#[test]
fn a_veth_pair_carries_datagrams_between_namespaces() {
    if !require("a_veth_pair_carries_datagrams_between_namespaces", &NEEDS) {
        return;
    }
    let (a, b) = (Netns::new("a").unwrap(), Netns::new("b").unwrap());
    let left = End {
        netns: &a,
        name: "wire",
        mac: [2, 0, 0, 0, 0, 1],
        address: Some("10.9.0.1/24"),
    };
    let right = End {
        netns: &b,
        name: "wire",
        mac: [2, 0, 0, 0, 0, 2],
        address: Some("10.9.0.2/24"),
    };
    veth(left, right, 2, 1500).unwrap();
    let receiver = b.enter(|| UdpSocket::bind("10.9.0.2:4000")).unwrap().unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let sender = a.enter(|| UdpSocket::bind("10.9.0.1:4001")).unwrap().unwrap();
    sender.send_to(b"over the wire", "10.9.0.2:4000").unwrap();
    let mut buffer = [0; 64];
    let (length, from) = receiver.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"over the wire");
    assert_eq!(from.to_string(), "10.9.0.1:4001");
    let features = a.exec("ethtool -k wire").unwrap();
    assert!(features.contains("tx-checksumming: off"), "{features}");
    assert!(features.contains("tx-vlan-offload: off"), "{features}");
    let link = b.ip("-d link show wire").unwrap();
    assert!(
        link.contains("numrxqueues 2") && link.contains("02:00:00:00:00:02"),
        "{link}"
    );
}
