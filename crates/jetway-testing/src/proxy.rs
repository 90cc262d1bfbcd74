//! A bad network: a proxy between clients and a server that delays, throttles, holds up and cuts what goes through it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

/// The most bytes that are taken at once.
const PIECE: usize = 16 * 1024;
/// How many pieces each direction of a connection keeps at most; a sender who is faster is made to wait by TCP.
const PIECES: usize = 64;

/// A TCP proxy on a port of `127.0.0.1`. Give its [`url`](Self::url) to a client instead of the server's.
///
/// Everything that it is told holds for the connections there are and for those to come, in both directions. What it has
/// taken and not yet passed on is bounded, at 1 MiB for each direction of a connection. Dropping it cuts all connections
/// and stops listening.
///
/// ```no_run
/// use jetway_testing::{NatsServer, Proxy};
/// use std::time::Duration;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let server = NatsServer::start().await?;
/// let proxy = Proxy::start(&server.url()).await?;
/// let url = proxy.url();                     // for clients
/// proxy.delay(Duration::from_millis(50));    // a slow line
/// proxy.hold();                              // a line that is up and passes nothing on
/// proxy.release();
/// proxy.cut().await;                         // a line that breaks; clients may connect again
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    line: watch::Sender<Line>,
    cuts: mpsc::Sender<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// How the line behaves.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    delay: Duration,
    bytes_per_second: Option<NonZeroU32>,
    held: bool,
}

impl Proxy {
    /// Listens on a free port and forwards to `server`: `127.0.0.1:4222`, or with a scheme as in
    /// `nats://127.0.0.1:4222`. The server need not be up yet: a connection is closed again where it is not.
    ///
    /// # Errors
    ///
    /// When no port can be listened on.
    pub async fn start(server: &str) -> io::Result<Self> {
        let server = server.split_once("://").map_or(server, |(_scheme, address)| address).to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (line, behaviour) = watch::channel(Line::default());
        let (cuts, orders) = mpsc::channel(1);
        let task = tokio::spawn(serve(listener, server, behaviour, orders));
        Ok(Self { address, line, cuts, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, for NATS clients: `nats://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Every byte takes so much longer each way, from now on; zero for no delay. No more than what the proxy keeps is on
    /// its way at a time, so that a delay also limits what goes through.
    pub fn delay(&self, delay: Duration) {
        self.line.send_modify(|line| line.delay = delay);
    }

    /// Each direction of each connection passes so many bytes in a second, from now on; `None` for as many as it can.
    pub fn throttle(&self, bytes_per_second: Option<NonZeroU32>) {
        self.line.send_modify(|line| line.bytes_per_second = bytes_per_second);
    }

    /// Passes nothing on until [`release`](Self::release). Connections stay open, and new ones are taken.
    pub fn hold(&self) {
        self.line.send_modify(|line| line.held = true);
    }

    /// Passes on what was held up, and all that follows.
    pub fn release(&self) {
        self.line.send_modify(|line| line.held = false);
    }

    /// Closes all connections and loses what was on its way. They are closed when this returns. Who connects again is
    /// let through.
    pub async fn cut(&self) {
        let (done, waiting) = oneshot::channel();
        // Nobody takes the order while the runtime shuts down, which cuts connections as well.
        if self.cuts.send(done).await.is_ok() {
            // An error, as nothing is sent: the order is dropped when it has been carried out.
            drop(waiting.await);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes connections, and owns their tasks: they end with this one.
async fn serve(
    listener: TcpListener,
    server: String,
    line: watch::Receiver<Line>,
    mut cuts: mpsc::Receiver<oneshot::Sender<()>>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((client, _peer)) = listener.accept() => {
                connections.spawn(connection(client, server.clone(), line.clone()));
            }
            Some(_ended) = connections.join_next() => {}
            Some(done) = cuts.recv() => {
                connections.shutdown().await;
                // Which is what whoever gave the order waits for.
                drop(done);
            }
            else => return,
        }
    }
}

/// Both directions of one connection, until both have ended.
async fn connection(client: TcpStream, server: String, line: watch::Receiver<Line>) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    if client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).is_err() {
        return;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(pass_on(from_client, to_server, line.clone()), pass_on(from_server, to_client, line));
}

/// One direction. A side that is closed closes the other side's end of this direction, once all has been passed on.
async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut line: watch::Receiver<Line>) {
    let (kept, mut waiting) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES);
    let take = async move {
        let mut buffer = vec![0; PIECE];
        while let Ok(bytes @ 1..) = from.read(&mut buffer).await {
            if kept.send((Instant::now(), buffer[..bytes].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let give = async move {
        while let Some((taken, piece)) = waiting.recv().await {
            let Line { delay, bytes_per_second, .. } = *line.borrow();
            sleep_until(taken + delay).await;
            if line.wait_for(|line| !line.held).await.is_err() || to.write_all(&piece).await.is_err() {
                return;
            }
            if let Some(rate) = bytes_per_second {
                sleep(Duration::from_secs_f64(piece.len() as f64 / f64::from(rate.get()))).await;
            }
        }
    };
    tokio::pin!(take, give);
    tokio::select! {
        () = &mut give => {}
        () = &mut take => give.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    const DEADLINE: Duration = Duration::from_secs(10);

    /// A client, and the server's end of its connection through the proxy.
    async fn connected() -> (Proxy, TcpListener, TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let proxy = Proxy::start(&format!("nats://{}", listener.local_addr().unwrap())).await.unwrap();
        let (client, server) = connect(&proxy, &listener).await;
        (proxy, listener, client, server)
    }

    async fn connect(proxy: &Proxy, listener: &TcpListener) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(proxy.address()).await.unwrap();
        let (server, _peer) = timeout(DEADLINE, listener.accept()).await.unwrap().unwrap();
        (client, server)
    }

    async fn read(from: &mut TcpStream, bytes: usize) -> Vec<u8> {
        let mut read = vec![0; bytes];
        timeout(DEADLINE, from.read_exact(&mut read)).await.unwrap().unwrap();
        read
    }

    #[tokio::test]
    async fn both_directions_are_passed_on_and_closed() {
        let (_proxy, _listener, mut client, mut server) = connected().await;
        client.write_all(b"ping").await.unwrap();
        assert_eq!(read(&mut server, 4).await, b"ping");
        server.write_all(b"pong").await.unwrap();
        drop(server);
        let mut rest = Vec::new();
        timeout(DEADLINE, client.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert_eq!(rest, b"pong");
    }

    #[tokio::test]
    async fn a_delay_delays_each_way_and_keeps_the_order() {
        let (proxy, _listener, mut client, mut server) = connected().await;
        proxy.delay(Duration::from_millis(100));
        let began = Instant::now();
        for piece in [b"a", b"b", b"c"] {
            client.write_all(piece).await.unwrap();
        }
        assert_eq!(read(&mut server, 3).await, b"abc");
        assert!(began.elapsed() >= Duration::from_millis(100));
        proxy.delay(Duration::ZERO);
        client.write_all(b"d").await.unwrap();
        assert_eq!(read(&mut server, 1).await, b"d");
    }

    #[tokio::test]
    async fn a_throttle_limits_what_goes_through() {
        let (proxy, _listener, mut client, mut server) = connected().await;
        proxy.throttle(NonZeroU32::new(1_000_000));
        let began = Instant::now();
        let writing = tokio::spawn(async move { client.write_all(&[1; 300_000]).await });
        assert_eq!(read(&mut server, 300_000).await, [1; 300_000]);
        writing.await.unwrap().unwrap();
        // The last piece is passed on before it is paid for.
        assert!(began.elapsed() >= Duration::from_millis(280), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn what_is_held_waits_and_is_released() {
        let (proxy, listener, mut client, mut server) = connected().await;
        proxy.hold();
        client.write_all(b"ping").await.unwrap();
        let (mut late, mut of_late) = connect(&proxy, &listener).await;
        of_late.write_all(b"hello").await.unwrap();
        let nothing = timeout(Duration::from_millis(100), server.read_u8()).await;
        assert!(nothing.is_err(), "{nothing:?}");
        proxy.release();
        assert_eq!(read(&mut server, 4).await, b"ping");
        assert_eq!(read(&mut late, 5).await, b"hello");
    }

    #[tokio::test]
    async fn what_is_held_is_bounded_and_whole() {
        const FLOOD: usize = 64 << 20;
        let (proxy, _listener, mut client, mut server) = connected().await;
        proxy.hold();
        let mut sending = tokio::spawn(async move {
            client.write_all(&vec![7; FLOOD]).await.unwrap();
            client
        });
        // The sender is made to wait, by what the proxy keeps and the sockets hold.
        assert!(timeout(Duration::from_millis(300), &mut sending).await.is_err());
        proxy.release();
        assert!(read(&mut server, FLOOD).await.iter().all(|byte| *byte == 7));
        timeout(DEADLINE, sending).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_cut_ends_all_connections_and_lets_new_ones_in() {
        let (proxy, listener, mut client, mut server) = connected().await;
        timeout(DEADLINE, proxy.cut()).await.unwrap();
        let mut rest = Vec::new();
        timeout(DEADLINE, client.read_to_end(&mut rest)).await.unwrap().unwrap();
        timeout(DEADLINE, server.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert!(rest.is_empty());
        let (mut client, mut server) = connect(&proxy, &listener).await;
        client.write_all(b"again").await.unwrap();
        assert_eq!(read(&mut server, 5).await, b"again");
    }

    #[tokio::test]
    async fn nothing_outlives_a_proxy_that_is_dropped() {
        let (proxy, _listener, mut client, _server) = connected().await;
        let address = proxy.address();
        drop(proxy);
        let mut rest = Vec::new();
        timeout(DEADLINE, client.read_to_end(&mut rest)).await.unwrap().unwrap();
        let refused = async || TcpStream::connect(address).await.is_err();
        crate::wait::wait_until("nobody listens", DEADLINE, refused).await;
    }

    #[tokio::test]
    async fn a_server_that_is_not_up_closes_the_connection() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let nowhere = listener.local_addr().unwrap().to_string();
        drop(listener);
        let proxy = Proxy::start(&nowhere).await.unwrap();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        let closed = timeout(DEADLINE, client.read_u8()).await.unwrap();
        assert!(closed.is_err());
    }
}
