//! How sockets are set.

use std::io;
use std::time::Duration;

use dlmwire_transport::sockets::in_operation;
use socket2::{SockRef, TcpKeepalive};

/// How every socket is set; the defaults suit a cluster's own network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// How an idle link is probed, so that a dead peer is noticed without traffic; 5 s, 1 s and 5 probes.
    ///
    /// Deviation: kernels since 6.1 do not probe and may keep a dead link for ever; probes are invisible to them.
    pub keepalive: Option<Keepalive>,
    /// How long sent bytes, probes included, may stay unacknowledged before the link is lost (`TCP_USER_TIMEOUT`);
    /// 10 s. It also ends an unanswered dial. `None`: the system's default, some 15 minutes.
    ///
    /// Linux counts a full window too: a live peer that reads nothing for so long, while we have more for it than
    /// the buffers hold, loses the link.
    pub user_timeout: Option<Duration>,
    /// The mark of every packet (`SO_MARK`; dlm.conf's `mark`); needs `CAP_NET_ADMIN`. None.
    pub mark: Option<u32>,
    /// The congestion control by its name in Linux, for example `dctcp`; the system's default.
    pub congestion: Option<String>,
    /// Strangers that are turned away in one call of accept, so that a storm of them does not hold up everything
    /// else; 64, at least 1.
    pub strangers_max: usize,
}

/// How an idle link is probed. The system counts in whole seconds, 1 to 32767.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Keepalive {
    /// Silence before the first probe.
    pub idle: Duration,
    /// From probe to probe.
    pub interval: Duration,
    /// Unanswered probes after which the link is lost; [`Options::user_timeout`], if set, decides instead.
    pub probes: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            keepalive: Some(Keepalive::default()),
            user_timeout: Some(Duration::from_secs(10)),
            mark: None,
            congestion: None,
            strangers_max: 64,
        }
    }
}

impl Default for Keepalive {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(5),
            interval: Duration::from_secs(1),
            probes: 5,
        }
    }
}

impl Options {
    /// Sets a socket: listening, dialing or accepted.
    pub(crate) fn apply(&self, socket: &SockRef<'_>) -> io::Result<()> {
        socket
            .set_tcp_nodelay(true)
            .map_err(|e| in_operation("set TCP_NODELAY", e))?;
        if let Some(Keepalive {
            idle,
            interval,
            probes,
        }) = self.keepalive
        {
            let keepalive = TcpKeepalive::new()
                .with_time(idle)
                .with_interval(interval)
                .with_retries(probes);
            socket.set_tcp_keepalive(&keepalive).map_err(|e| {
                let values =
                    format_args!("set keepalive idle {idle:?}, interval {interval:?}, probes {probes}");
                in_operation(values, e)
            })?;
        }
        if let Some(timeout) = self.user_timeout {
            let set = socket.set_tcp_user_timeout(Some(timeout));
            set.map_err(|e| in_operation(format_args!("set TCP_USER_TIMEOUT {timeout:?}"), e))?;
        }
        if let Some(mark) = self.mark {
            let set = socket.set_mark(mark);
            set.map_err(|e| in_operation(format_args!("set SO_MARK {mark} (needs CAP_NET_ADMIN)"), e))?;
        }
        if let Some(name) = &self.congestion {
            let set = socket.set_tcp_congestion(name.as_bytes());
            set.map_err(|e| in_operation(format_args!("set congestion control {name:?}"), e))?;
        }
        Ok(())
    }
}
