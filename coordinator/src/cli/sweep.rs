//! `sweep`: one pass, by this process or by the coordinator that is serving.

use std::{
    fmt,
    io::{self, Write},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use causeway_proto::{
    day::Day,
    limits::MESSAGE_BYTES,
    pb::{
        self, operator_service_client::OperatorServiceClient, run_sweep_response::Event as Message,
    },
    refusal,
};
use serde::de::DeserializeOwned;
use tonic::transport::Channel;

use super::{Args, Sweep, control, draw, stopped};
use crate::{
    app::{Coordinator, Ended, Heard, How, Turn, sweep_day},
    clock,
    config::CoordinatorConfig,
    cycle::{live::Followed, progress, report::SweepReport},
    measure,
};

/// Why no more is heard of a sweep.
const GONE: &str =
    "the coordinator that was asked is gone: its log says why; ask again once it serves";
/// How long a sweep of its own waits for its alerts to arrive.
const DELIVERY: Duration = Duration::from_secs(30);

pub(super) async fn make_pass(
    args: &Args,
    sweep: &Sweep,
    config: CoordinatorConfig,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    if sweep.links_out.is_none()
        && sweep.dump_out.is_none()
        && let Some(channel) = control(&config.serve.control).await
    {
        return ask_for_pass(args, sweep, channel, out).await;
    }
    let as_at = sweep_day(sweep.as_at, clock::today())?;
    let coordinator = Coordinator::build(config).await?;
    let shadow = coordinator.shadow(sweep.shadow.as_deref())?;
    let how = How { as_at, shadow: shadow.as_ref(), weakest: sweep.weakest };
    let turn = coordinator.turn().await?;
    // Nodes that dial in need somebody who answers; it delivers as well.
    let (stop, told_to_stop) = tokio::sync::oneshot::channel::<()>();
    let (up, is_up) = tokio::sync::oneshot::channel();
    let serving = coordinator.clone();
    let server = tokio::spawn(async move {
        let until = async {
            let _ = told_to_stop.await;
        };
        let ready = move |_| {
            let _ = up.send(());
            Ok(())
        };
        serving.serve(until, ready).await
    });
    if is_up.await.is_err() {
        return server.await?;
    }
    tokio::spawn(close_when_told(coordinator.clone()));
    let tell = Arc::new(printer(args.json));
    if sweep.watch {
        let ended = watch(args, &coordinator, (turn, how), tell, out).await;
        coordinator.courier().drain(DELIVERY).await?;
        let _ = stop.send(());
        server.await??;
        ensure!(
            ended? != Ended::MadeWay,
            "this sweep was closed because another one was asked for"
        );
        return Ok(());
    }
    let swept = coordinator.sweep(turn, how, tell).await;
    let waiting = coordinator.courier().drain(DELIVERY).await?;
    let _ = stop.send(());
    server.await??;
    let swept = swept?;
    if let Some(path) = &sweep.links_out {
        let linked = (&swept.linked, sweep.weakest > 0);
        measure::write(path, coordinator.config(), swept.sweep, linked)?;
    }
    if let Some(path) = &sweep.dump_out {
        measure::dump(path, coordinator.config(), &swept)?;
    }
    if let Some(path) = &sweep.svg {
        draw(path, &swept.report.weakest_links)?;
    }
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&swept.report)?)?;
    } else {
        write!(out, "{}", swept.report)?;
    }
    if waiting > 0 {
        writeln!(
            io::stderr(),
            "{waiting} deliveries still wait: `causeway-coordinator serve` goes on with them"
        )?;
    }
    Ok(())
}

/// Makes a pass and prints what changes, until the process is told to stop or nobody reads on.
async fn watch(
    args: &Args,
    coordinator: &Coordinator,
    (turn, how): (Turn, How<'_>),
    tell: Arc<dyn Fn(progress::Event) + Send + Sync>,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<Ended> {
    let (news, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let (unread, is_unread) = tokio::sync::oneshot::channel::<()>();
    let hear = move |heard: Heard<'_>| {
        let _ = news.send(news_text(args.json, &heard));
    };
    let until = async {
        let _ = is_unread.await;
    };
    let watching = coordinator.watch(turn, how, tell, until, hear);
    let printing = async {
        // Dropped when nobody reads on, and at the end.
        let _unread = unread;
        while let Some(text) = heard.recv().await {
            write!(out, "{text}")?;
            out.flush()?;
        }
        anyhow::Ok(())
    };
    let (watched, printed) = tokio::join!(watching, printing);
    printed?;
    Ok(watched?)
}

/// Closes the sweep when the process is told to stop. Told a second time, it stops at once.
async fn close_when_told(coordinator: Coordinator) {
    stopped().await;
    let again = stopped();
    tokio::spawn(async move { coordinator.go_down().await });
    again.await;
    let _ = writeln!(io::stderr(), "stopped: nodes keep the sweep open until the next one begins");
    std::process::exit(130);
}

/// Asks the coordinator that is serving. One that is watched ends well when it is told to stop, as one of
/// its own does; one that is not goes on, whoever leaves.
async fn ask_for_pass(
    args: &Args,
    sweep: &Sweep,
    channel: Channel,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let told_to_stop = async {
        match sweep.watch {
            true => stopped().await,
            false => std::future::pending().await,
        }
    };
    tokio::select! {
        () = told_to_stop => Ok(()),
        heard = hear(args, sweep, channel, out) => heard,
    }
}

/// Prints what the coordinator that is serving tells of a sweep.
async fn hear(
    args: &Args,
    sweep: &Sweep,
    channel: Channel,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let mut client =
        OperatorServiceClient::new(channel).max_decoding_message_size(8 * MESSAGE_BYTES);
    let as_at_day = sweep.as_at.map(Day::number);
    let watch = sweep.watch;
    let shadow_model = match &sweep.shadow {
        // The coordinator may run in another folder.
        Some(path) => std::path::absolute(path)?.display().to_string(),
        None => String::new(),
    };
    let request =
        pb::RunSweepRequest { as_at_day, watch, shadow_model, weakest_links: sweep.weakest };
    let refused = |status: tonic::Status| anyhow::anyhow!("{}", status.message());
    let mut events = client.run_sweep(request).await.map_err(refused)?.into_inner();
    let tell = printer(args.json);
    let broken_off = |status: tonic::Status| match refusal::reason(&status) {
        Some(_) => refused(status),
        None => anyhow::anyhow!("{GONE} ({})", status.message()),
    };
    while let Some(event) = events.message().await.map_err(broken_off)? {
        match event.event {
            Some(Message::Progress(progress)) => {
                if let Some(event) = event_of(progress) {
                    tell(event);
                }
            }
            Some(Message::Result(result)) => {
                if let Some(path) = &sweep.svg {
                    draw(path, &read::<SweepReport>(&result.report)?.weakest_links)?;
                }
                write!(out, "{}", told_text::<SweepReport>(args.json, &result.report)?)?;
                if !watch {
                    return Ok(out.flush()?);
                }
            }
            Some(Message::Followed(burst)) => {
                write!(out, "{}", told_text::<Followed>(args.json, &burst)?)?;
            }
            None => {}
        }
        out.flush()?;
    }
    bail!(GONE)
}

/// Reads a line of progress; `None` for a step that this version does not know.
fn event_of(progress: pb::SweepProgress) -> Option<progress::Event> {
    Some(progress::Event {
        step: progress::Step::named(&progress.step)?,
        agency: progress.agency.parse().ok(),
        done: progress.done,
        total: progress.total,
        problem: Some(progress.problem).filter(|problem| !problem.is_empty()),
    })
}

/// What the coordinator that is serving told, as it is printed: for people as this process prints it for
/// a sweep of its own.
fn told_text<T: DeserializeOwned + fmt::Display>(json: bool, told: &str) -> anyhow::Result<String> {
    if json {
        return Ok(format!("{told}\n"));
    }
    Ok(read::<T>(told)?.to_string())
}

fn read<T: DeserializeOwned>(told: &str) -> anyhow::Result<T> {
    serde_json::from_str(told)
        .context("the coordinator that is serving is of another version: ask it with --json")
}

/// What a sweep that is watched has to tell, as it is printed.
fn news_text(json: bool, heard: &Heard<'_>) -> String {
    match heard {
        Heard::Swept(report) if json => {
            format!("{}\n", serde_json::to_string(report).expect("plain data"))
        }
        Heard::Swept(report) => report.to_string(),
        Heard::Followed(burst) if json => {
            format!("{}\n", serde_json::to_string(burst).expect("plain data"))
        }
        Heard::Followed(burst) => burst.to_string(),
    }
}

/// Prints progress as it comes: a line whenever a node's step is done, or it drops out, and in long
/// steps every few seconds how much time is left.
fn printer(json: bool) -> impl Fn(progress::Event) + Send + Sync {
    const EVERY: Duration = Duration::from_secs(5);
    let state = Mutex::new((String::new(), progress::Pace::default(), Instant::now()));
    move |event| {
        let over = event.problem.is_some() || event.total == 0 || event.done == event.total;
        let mut line = event.to_string();
        let mut state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (last, pace, said) = &mut *state;
        let now = Instant::now();
        let left = pace.left(&event, now).filter(|_| now - *said >= EVERY);
        if let Some(left) = left {
            line = format!("{line}, about {} s left", left.as_secs().max(1));
        }
        if !json && (over || left.is_some()) && *last != line {
            // Progress that nobody can read is no reason to stop.
            let _ = writeln!(io::stderr(), "{line}");
            (*last, *said) = (line, now);
        }
    }
}
