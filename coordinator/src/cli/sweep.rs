//! `sweep`: one pass, by this process or by the coordinator that is serving.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::bail;
use causeway_proto::{
    day::Day,
    limits::MESSAGE_BYTES,
    pb::{
        self, operator_service_client::OperatorServiceClient, run_sweep_response::Event as Message,
    },
};
use tonic::transport::Channel;

use super::{Args, Sweep, control, stopped};
use crate::{
    app::{Coordinator, Heard, sweep_day},
    clock,
    config::CoordinatorConfig,
    cycle::progress,
    measure,
};
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
    let coordinator = Coordinator::build(config).await?;
    let as_at = sweep_day(sweep.as_at, clock::today())?;
    let shadow = coordinator.shadow(sweep.shadow.as_deref())?;
    let how = (as_at, shadow.as_ref());
    let turn = coordinator.turn().await?;
    let told_to_stop = stopped();
    // Nodes that dial in need somebody who answers; it delivers as well.
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (up, is_up) = tokio::sync::oneshot::channel();
    let serving = coordinator.clone();
    let server = tokio::spawn(async move {
        let until = async {
            let _ = stopped.await;
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
    if sweep.watch {
        let (news, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let tell = move |heard: Heard<'_>| {
            // Nobody reads on where the output is closed, and then the sweep ends.
            let _ = news.send(news_text(args.json, &heard));
        };
        let watching =
            coordinator.watch(turn, how, Arc::new(printer(args.json)), told_to_stop, tell);
        let printing = async {
            while let Some(text) = heard.recv().await {
                write!(out, "{text}")?;
                out.flush()?;
            }
            anyhow::Ok(())
        };
        let (watched, printed) = tokio::join!(watching, printing);
        watched?;
        printed?;
        coordinator.courier().drain(DELIVERY).await?;
        let _ = stop.send(());
        return server.await?;
    }
    let swept = coordinator.sweep(turn, how, Arc::new(printer(args.json))).await?;
    let waiting = coordinator.courier().drain(DELIVERY).await?;
    let _ = stop.send(());
    server.await??;
    if let Some(path) = &sweep.links_out {
        measure::write(path, coordinator.config(), swept.sweep, &swept.linked)?;
    }
    if let Some(path) = &sweep.dump_out {
        measure::dump(path, coordinator.config(), &swept)?;
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

/// Asks the coordinator that is serving.
async fn ask_for_pass(
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
    let request = pb::RunSweepRequest { as_at_day, watch, shadow_model };
    let answer = client.run_sweep(request).await;
    let mut events = answer.map_err(|status| anyhow::anyhow!("{}", status.message()))?.into_inner();
    while let Some(event) =
        events.message().await.map_err(|status| anyhow::anyhow!("{}", status.message()))?
    {
        match event.event {
            Some(Message::Progress(p)) if !args.json => {
                let problem = if p.problem.is_empty() { "" } else { "LEFT OUT: " };
                let (step, agency, done) = (p.step, p.agency, p.done);
                let rest = format!("{problem}{}", p.problem);
                writeln!(io::stderr(), "{step:<9} {agency:<24} {done} {rest}")?;
            }
            Some(Message::Result(result)) => {
                if args.json {
                    writeln!(out, "{}", result.report)?;
                } else {
                    let report: serde_json::Value = serde_json::from_str(&result.report)?;
                    writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
                }
                if !watch {
                    return Ok(());
                }
            }
            Some(Message::Followed(burst)) if args.json => writeln!(out, "{burst}")?,
            Some(Message::Followed(burst)) => {
                let burst: serde_json::Value = serde_json::from_str(&burst)?;
                writeln!(out, "{}", serde_json::to_string_pretty(&burst)?)?;
            }
            Some(Message::Progress(_)) | None => {}
        }
        out.flush()?;
    }
    if watch {
        // Another sweep was asked for.
        return Ok(());
    }
    bail!("the coordinator stopped before the sweep was over")
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
