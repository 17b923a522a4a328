//! The API server is away, slow or in a bad mood while a canary is half-way: no traffic moves wrongly, and the release gets there.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use e2e::chance::Chance;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::operator::{Operator, Stage, condition};
use super::proxy::{Fate, Proxy};
use super::release::{Told, canary, is_in, selected};

const LIMIT: Duration = Duration::from_secs(400);

/// A canary that is half-way, whose payments are well.
struct Flight {
    stage: Stage,
    proxy: Proxy,
    operator: Operator,
    course: Course,
    _told: Told,
}

/// Which releases had the traffic, in order; null is both.
struct Course {
    seen: Arc<Mutex<Vec<Value>>>,
    task: JoinHandle<()>,
}

impl Drop for Course {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Flight {
    async fn half_way(address: Ipv4Addr) -> Result<Self> {
        let told = Told::at(address).await?;
        let stage = Stage::empty().await?;
        let proxy = Proxy::start(stage.plane).await?;
        let operator = stage.operator_by(&proxy.kubeconfig, "first")?;
        stage.create("PaymentCluster", super::fixture::minimal_cluster("payments")).await?;
        stage.until_ready().await?;
        stage.puppet.metrics_are_at(address)?;
        stage.until("PaymentCluster", "payments", |seen| condition(seen, "SLAMet")["status"] == "True").await?;
        let course = Course::follow(&stage);
        let mut wanted = canary();
        wanted["spec"]["rollout"]["steps"] = json!([{"weight": 50, "duration": "6s"}]);
        stage.change("PaymentCluster", "payments", wanted).await?;
        let begin = Instant::now();
        while selected(&stage).await? != Value::Null {
            ensure!(begin.elapsed() < Duration::from_secs(45), "the traffic was never split");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(Self { stage, proxy, operator, course, _told: told })
    }

    /// An operator that stepped down is started again, as a kubelet would.
    async fn until_finished(&mut self) -> Result<Duration> {
        let begin = Instant::now();
        loop {
            if self.operator.has_ended()? {
                self.operator = self.stage.operator_by(&self.proxy.kubeconfig, "first")?;
            }
            let seen = self.stage.resource("PaymentCluster", "payments").await?;
            if is_in("Finished")(&seen) && seen["status"]["release"]["current"] == "0.2.0" {
                break;
            }
            ensure!(begin.elapsed() < LIMIT, "not finished after {LIMIT:?}: {:#}", seen["status"]);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let history = self.stage.resource("PaymentCluster", "payments").await?["status"]["release"]["history"].clone();
        let results: Vec<_> = history.as_array().into_iter().flatten().map(|record| record["result"].clone()).collect();
        ensure!(results.iter().all(|result| result == "Succeeded"), "{history:#}");
        let course = self.course.seen.lock().map_err(|_| anyhow!("poisoned"))?.clone();
        ensure!(course == [json!("0.1.0"), Value::Null, json!("0.2.0")], "the traffic went {course:?}");
        Ok(begin.elapsed())
    }

    /// Kubernetes is away for a while.
    async fn away(&mut self, lasts: Duration) -> Result<()> {
        self.proxy.open(false);
        tokio::time::sleep(lasts).await;
        ensure!(selected(&self.stage).await? == Value::Null, "somebody moved the traffic while nobody could");
        self.proxy.open(true);
        Ok(())
    }
}

impl Course {
    fn follow(stage: &Stage) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (all, client, namespace) = (Arc::clone(&seen), stage.client.clone(), stage.namespace.clone());
        let task = tokio::spawn(async move {
            loop {
                let uri = format!("/api/v1/namespaces/{namespace}/services/payments-gateway");
                let Ok(request) = http::Request::get(uri).body(Vec::new()) else { return };
                if let (Ok(service), Ok(mut all)) = (client.request::<Value>(request).await, all.lock()) {
                    let selected = service["spec"]["selector"]["purser.dev/release"].clone();
                    if all.last() != Some(&selected) {
                        all.push(selected);
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Self { seen, task }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_is_away_in_mid_canary_moves_no_traffic_and_the_release_goes_on() -> Result<()> {
    let mut flight = Flight::half_way(Ipv4Addr::new(127, 77, 20, 1)).await?;
    flight.away(Duration::from_secs(10)).await?;
    println!("finished {:?} after the API server was back", flight.until_finished().await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "two minutes: `make e2e`"]
async fn the_same_when_it_is_away_for_a_minute() -> Result<()> {
    let mut flight = Flight::half_way(Ipv4Addr::new(127, 77, 20, 2)).await?;
    flight.away(Duration::from_secs(60)).await?;
    println!("finished {:?} after the API server was back", flight.until_finished().await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_take_five_seconds_for_a_while_move_no_traffic_wrongly() -> Result<()> {
    let mut flight = Flight::half_way(Ipv4Addr::new(127, 77, 20, 3)).await?;
    let begin = Instant::now();
    // Too slow to hold the lease by: the operator steps down, and cannot come back before it is over.
    flight.proxy.judge(move |_| {
        if begin.elapsed() < Duration::from_secs(20) { Fate::Late(Duration::from_secs(5)) } else { Fate::Passed }
    })?;
    println!("finished after {:?}", flight.until_finished().await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "five minutes: `make e2e`"]
async fn a_release_gets_there_on_answers_that_take_five_seconds_each() -> Result<()> {
    let mut flight = Flight::half_way(Ipv4Addr::new(127, 77, 20, 4)).await?;
    flight.proxy.judge(|asked| if asked.is_lease() { Fate::Passed } else { Fate::Late(Duration::from_secs(5)) })?;
    println!("finished after {:?}", flight.until_finished().await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_five_requests_refused_for_no_reason_holds_no_release_up() -> Result<()> {
    let mut flight = Flight::half_way(Ipv4Addr::new(127, 77, 20, 5)).await?;
    let mut chance = Chance::new(7);
    let answers = [StatusCode::TOO_MANY_REQUESTS, StatusCode::INTERNAL_SERVER_ERROR, StatusCode::CONFLICT];
    flight.proxy.judge(
        move |_| {
            if chance.percent(20) { Fate::Refused(*chance.one_of(&answers)) } else { Fate::Passed }
        },
    )?;
    println!("finished after {:?}", flight.until_finished().await?);
    Ok(())
}
