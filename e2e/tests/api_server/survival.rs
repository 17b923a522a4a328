//! The operator dies, the API server dies, two operators run: the end is the same.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use super::fixture::minimal_cluster;
use super::operator::{Operator, Stage, condition};

#[tokio::test]
async fn an_operator_killed_every_second_still_gets_there() -> Result<()> {
    let stage = Stage::empty().await?;
    stage.create("PaymentCluster", minimal_cluster("payments")).await?;
    let mut number = 0;
    let started = Instant::now();
    loop {
        let mut operator = stage.operator("the-same-pod")?;
        // A little longer each time, so that each life ends at another point.
        tokio::time::sleep(Duration::from_millis(600 + 150 * number)).await;
        let ready = condition(&stage.resource("PaymentCluster", "payments").await?, "Ready")["status"] == "True";
        operator.kill()?;
        number += 1;
        if ready {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(90), "not Ready after {number} lives");
    }
    println!("Ready after {number} lives");
    assert!(number > 1, "one life was enough: the test kills too late");
    Ok(())
}

#[tokio::test]
async fn a_second_operator_takes_over_and_a_stopped_one_ends_within_ten_seconds() -> Result<()> {
    let (stage, mut first) = Stage::ready().await?;
    let mut second = stage.operator("second")?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let ended = first.stop()?;
    assert!(ended < Duration::from_secs(10), "{ended:?}");
    // A lease that was given up is free at once.
    let took = changed_within(&stage, &mut second, 3).await?;
    println!("ended in {ended:?}; the standby acted after {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    second.stop()?;
    Ok(())
}

#[tokio::test]
async fn a_change_made_right_after_the_api_server_is_back_is_not_lost() -> Result<()> {
    // A control plane of its own, since it is taken away.
    let (stage, mut operator) = Stage::with_own_plane().await?;
    stage.plane.kill_apiserver()?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    stage.plane.start_apiserver().await?;
    let took = changed_within(&stage, &mut operator, 4).await?;
    println!("acted {took:?} after the API server was back");
    assert!(took < Duration::from_secs(15), "{took:?}");

    // Longer than a holder may go without renewing its lease: it steps down and ends, and a kubelet starts it again.
    stage.plane.kill_apiserver()?;
    operator.until_ended(Duration::from_secs(15))?;
    operator = stage.operator("first")?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    stage.plane.start_apiserver().await?;
    let took = changed_within(&stage, &mut operator, 5).await?;
    println!("a new life acted {took:?} after the API server was back");
    assert!(took < Duration::from_secs(20), "{took:?}");
    Ok(())
}

/// Asks for a number of processors, and waits until the Deployment has it. An operator that stepped down, as it does when
/// the API server takes its time, is started again as a kubelet would.
async fn changed_within(stage: &Stage, operator: &mut Operator, replicas: i32) -> Result<Duration> {
    stage.change("PaymentCluster", "payments", json!({"spec": {"processor": {"replicas": replicas}}})).await?;
    let started = Instant::now();
    loop {
        let deployment = stage.object("apis/apps/v1", "deployments/payments-processor-0-1-0").await;
        if deployment.is_ok_and(|found| found.is_some_and(|found| found["spec"]["replicas"] == replicas)) {
            return Ok(started.elapsed());
        }
        if operator.has_ended()? {
            *operator = stage.operator("again")?;
        }
        assert!(started.elapsed() < Duration::from_secs(40), "not {replicas} processors");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
