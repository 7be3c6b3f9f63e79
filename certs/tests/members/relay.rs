//! A TCP relay whose connections can be cut (closed) or frozen (bytes vanish).

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Connections are numbered from one; a fault applies to all up to a number.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    made: Arc<AtomicU64>,
    cut: watch::Sender<u64>,
    frozen: Arc<AtomicU64>,
}

impl Relay {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Self {
            address: listener.local_addr().unwrap(),
            made: Arc::default(),
            cut: watch::Sender::new(0),
            frozen: Arc::default(),
        };
        let (made, cut, frozen) = (relay.made.clone(), relay.cut.clone(), relay.frozen.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let number = made.fetch_add(1, SeqCst) + 1;
                let Ok(far) = TcpStream::connect(target).await else { continue };
                let (cut, frozen) = (cut.subscribe(), frozen.clone());
                tokio::spawn(carry(near, far, number, cut, frozen));
            }
        });
        relay
    }

    /// Returns how many connections were made so far.
    pub(crate) fn made(&self) -> u64 {
        self.made.load(SeqCst)
    }

    /// Closes every connection that is up.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(self.made());
    }

    /// Swallows everything on the connections that are up.
    pub(crate) fn freeze(&self) {
        self.frozen.store(self.made(), SeqCst);
    }
}

async fn carry(
    mut near: TcpStream,
    mut far: TcpStream,
    number: u64,
    mut cut: watch::Receiver<u64>,
    frozen: Arc<AtomicU64>,
) {
    let (mut near_read, mut near_write) = near.split();
    let (mut far_read, mut far_write) = far.split();
    tokio::select! {
        () = copy(&mut near_read, &mut far_write, number, &frozen) => {}
        () = copy(&mut far_read, &mut near_write, number, &frozen) => {}
        _ = cut.wait_for(|&upto| upto >= number) => {}
    }
}

async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    number: u64,
    frozen: &AtomicU64,
) {
    let mut buffer = vec![0; 65536];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        if frozen.load(SeqCst) < number && to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
    if frozen.load(SeqCst) >= number {
        // Not even the end gets through.
        std::future::pending::<()>().await;
    }
}
