//! Job containers where the engine fails.

use hearthkeep::engine::{Engine, Fault, Simulator};
use hearthkeep::model::{Meets, Outpost};
use hearthkeep::outpost::{self, Ending, Post};
use tokio_util::sync::CancellationToken;

use super::facts::container;
use super::holding::run;

#[test]
fn a_cancelled_job_ends_however_often_its_stop_is_refused() {
    let refused = |simulator: &Simulator| {
        simulator.calls().iter().filter(|it| it.starts_with("stop ")).count()
    };
    for n in 0..3 {
        let simulator = Simulator::new(vec![container("us", "x")]);
        let engine = Engine::simulated(simulator.clone());
        let outpost = Outpost {
            of: "us".to_owned(),
            job: "7".to_owned(),
            state: "/state".into(),
            program: "/hearthkeep".into(),
            words: vec!["backup".to_owned()],
            folder: "/".into(),
            variables: Vec::new(),
            mounts: Vec::new(),
            meets: Meets::Same,
            is_told: false,
        };
        let ending = run(async {
            let post = Post::start(&engine, &outpost, None).await.expect("it starts");
            for _ in 0..n {
                simulator.inject(Fault::Refuse {
                    call: "stop",
                    container: "hearthkeep-job-7".to_owned(),
                    message: "not now".to_owned(),
                    once: true,
                });
            }
            let cancel = CancellationToken::new();
            cancel.cancel();
            outpost::follow(&post, &cancel, &mut |_| ()).await
        });
        assert_eq!(ending.expect("it ends"), Ending::Ended(0));
        assert_eq!(refused(&simulator), n + 1, "{:?}", simulator.calls());
    }
}
