//! An alert that is delivered, and a worklist that hears of it.

use causeway_proto::{
    alert::{Alert, AlertChange},
    ids::AlertId,
    pb::{alert_service_server::AlertService, inbox_service_server::InboxService},
};

use super::*;
use crate::inbox::an_alert;

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_kept_once_and_points_at_our_own_records() {
    let police = Police::new().await;
    police.open(1).await.unwrap();
    let (handles, _) = police.people().await;
    let alert = Alert { handles: handles.clone(), ..an_alert() };
    // Delivery may come after the sweep was closed.
    let close = Request::new(pb::CloseSweepRequest { sweep_id: sweep(1) });
    police.node.close_sweep(close).await.unwrap();
    let deliver =
        |alert: &Alert| Request::new(pb::DeliverAlertRequest { alert: Some(alert.clone().into()) });
    let first = police.node.deliver_alert(deliver(&alert)).await.unwrap().into_inner();
    let again = police.node.deliver_alert(deliver(&alert)).await.unwrap().into_inner();
    assert_eq!((first.duplicate, again.duplicate), (false, true));
    let list = Request::new(pb::ListAlertsRequest::default());
    let listed = police.node.list_alerts(list).await.unwrap().into_inner();
    assert_eq!(listed.entries.len(), 1);
    let mut references: Vec<_> =
        listed.entries[0].records.iter().map(|record| record.reference.as_str()).collect();
    references.sort_unstable();
    assert_eq!(references, ["N-1", "N-2", "N-4"]);

    // The next sweep brings the finding back, under new handles.
    let opened = police.open(2).await.unwrap();
    assert_eq!(opened.memos.len(), 3);
    assert!(opened.memos.iter().all(|memo| memo.memo_id == [7; 16]));
    let strange = Alert { handles: vec![Handle::from_bytes([1; 16])], ..alert };
    let refused = police.node.deliver_alert(deliver(&strange)).await.unwrap_err();
    assert_eq!(refusal::reason(&refused).as_deref(), Some("UNKNOWN_HANDLE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_was_overtaken_leaves_no_finding() {
    let police = Police::new().await;
    police.open(1).await.unwrap();
    let (handles, _) = police.people().await;
    let cancel = Alert { revision: 2, change: AlertChange::Cancel, ..an_alert() };
    let late = Alert { handles, ..an_alert() };
    for alert in [cancel, late] {
        let request = pb::DeliverAlertRequest { alert: Some(alert.into()) };
        police.node.deliver_alert(Request::new(request)).await.unwrap();
    }
    assert_eq!(police.open(2).await.unwrap().memos, []);
    let list = pb::ListAlertsRequest { include_closed: true, ..Default::default() };
    let listed = police.node.list_alerts(Request::new(list)).await.unwrap().into_inner();
    assert_eq!(listed.entries[0].alert.as_ref().unwrap().revision, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worklist_that_watches_hears_of_every_alert_once_and_in_order() {
    let police = Police::new().await;
    police.open(1).await.unwrap();
    let (handles, _) = police.people().await;
    let deliver = async |id: u8, revision: u32| {
        let id = AlertId::from_bytes([id; 16]);
        let alert = Alert { id, revision, handles: handles.clone(), ..an_alert() };
        let request = pb::DeliverAlertRequest { alert: Some(alert.into()) };
        police.node.deliver_alert(Request::new(request)).await.unwrap();
    };
    let watch = async |after| {
        let request = Request::new(pb::WatchInboxRequest { after });
        police.node.watch_inbox(request).await.unwrap().into_inner()
    };
    let heard = |response: pb::WatchInboxResponse| {
        let entry = response.entry.unwrap();
        let alert = entry.alert.unwrap();
        (alert.alert_id[0], alert.revision, entry.position)
    };
    deliver(1, 1).await;
    deliver(2, 1).await;
    deliver(1, 2).await;
    let mut stream = watch(0).await;
    let first = heard(stream.try_next().await.unwrap().unwrap());
    let second = heard(stream.try_next().await.unwrap().unwrap());
    assert_eq!([(first.0, first.1), (second.0, second.1)], [(2, 1), (1, 2)], "only the latest");
    deliver(3, 1).await;
    let third = heard(stream.try_next().await.unwrap().unwrap());
    assert_eq!((third.0, third.1), (3, 1));
    // Whoever was away goes on where it was.
    let mut resumed = watch(second.2).await;
    assert_eq!(heard(resumed.try_next().await.unwrap().unwrap()), third);
    // Nobody has opened what was only announced.
    let list = Request::new(pb::ListAlertsRequest::default());
    let listed = police.node.list_alerts(list).await.unwrap().into_inner();
    assert!(listed.entries.iter().all(|entry| entry.read_ms.is_none()));
    police.node.drain();
    let gone = resumed.try_next().await.unwrap_err();
    assert_eq!(refusal::reason(&gone).as_deref(), Some("GOING_DOWN"));
}
