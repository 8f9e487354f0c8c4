//! Two namespaces with two networks between them, of which each can be cut.

use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The port of both nodes; their namespaces are nobody else's.
pub(crate) const PORT: u16 = 21064;

/// How a network is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cut {
    /// The second node's interface goes down.
    LinkDown,
    /// The second node drops what comes in, and sends on.
    DropRule,
    /// The first node's interface loses every packet that it sends.
    Loss,
    /// What the first node sends is delayed, and some of it lost, doubled and put into another order.
    Mess,
}

/// The namespaces of one test, gone when it is dropped.
pub(crate) struct Networks {
    test: u8,
}

impl Networks {
    /// Makes them: nodes 1 and 2 with an address in each of two networks.
    pub(crate) fn new(test: u8) -> Self {
        let networks = Self { test };
        // Left behind by a run that was killed.
        networks.remove();
        for node in [1, 2] {
            run(&format!("ip netns add {}", networks.namespace(node)));
            run(&format!("ip -n {} link set lo up", networks.namespace(node)));
        }
        for network in [0, 1] {
            let [first, second] = [1, 2].map(|node| networks.namespace(node));
            run(&format!(
                "ip -n {first} link add n{network} type veth peer name n{network} netns {second}"
            ));
            for node in [1, 2] {
                let (namespace, ip) = (networks.namespace(node), networks.ip(network, node));
                run(&format!("ip -n {namespace} addr add {ip}/24 dev n{network}"));
                run(&format!("ip -n {namespace} link set n{network} up"));
            }
        }
        networks
    }

    /// Moves the calling thread to a node's side.
    pub(crate) fn enter(&self, node: u8) -> impl FnOnce() + Send + 'static {
        let path = format!("/run/netns/{}", self.namespace(node));
        move || {
            let file = File::open(&path).expect("the namespace is there");
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("it can be entered");
        }
    }

    pub(crate) fn ip(&self, network: u8, node: u8) -> IpAddr {
        [10, 100 + self.test, network, node].into()
    }

    /// All addresses of a node.
    pub(crate) fn addresses(&self, node: u8) -> Vec<SocketAddr> {
        [0, 1]
            .map(|network| (self.ip(network, node), PORT).into())
            .to_vec()
    }

    /// Cuts a network.
    pub(crate) fn cut(&self, network: u8, how: Cut) {
        let [first, second] = [1, 2].map(|node| self.namespace(node));
        match how {
            Cut::LinkDown => run(&format!("ip -n {second} link set n{network} down")),
            Cut::DropRule => {
                run(&format!("tc -n {second} qdisc add dev n{network} ingress"));
                run(&format!(
                    "tc -n {second} filter add dev n{network} parent ffff: protocol ip matchall action drop"
                ));
            }
            Cut::Loss => run(&format!(
                "tc -n {first} qdisc add dev n{network} root netem loss 100%"
            )),
            Cut::Mess => run(&format!(
                "tc -n {first} qdisc add dev n{network} root netem delay 5ms 2ms loss 2% duplicate 5% reorder 20%"
            )),
        }
    }

    /// Undoes a cut.
    pub(crate) fn heal(&self, network: u8, how: Cut) {
        let [first, second] = [1, 2].map(|node| self.namespace(node));
        match how {
            Cut::LinkDown => run(&format!("ip -n {second} link set n{network} up")),
            Cut::DropRule => run(&format!("tc -n {second} qdisc del dev n{network} ingress")),
            Cut::Loss | Cut::Mess => run(&format!("tc -n {first} qdisc del dev n{network} root")),
        }
    }

    pub(crate) fn namespace(&self, node: u8) -> String {
        format!("dlmwire{}n{node}", self.test)
    }

    fn remove(&self) {
        for node in [1, 2] {
            // It may not be there.
            let _ = Command::new("ip")
                .args(["netns", "del", &self.namespace(node)])
                .output();
        }
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Runs a command that must succeed.
pub(crate) fn run(command: &str) {
    let mut words = command.split(' ');
    let program = words.next().expect("a command has a program");
    let output = Command::new("timeout")
        .arg("20")
        .arg(program)
        .args(words)
        .output();
    let output = output.unwrap_or_else(|e| panic!("{command}: {e}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {said}");
}
