//! Faults, which only the simulator has.

use hearthkeep::engine::{Engine, Error, Fault, Simulator};
use hearthkeep::model::State;

use super::lab::facts;
use super::run;

/// Two containers that run, and their engine.
fn home() -> (Simulator, Engine) {
    let simulator = Simulator::new(["homeassistant", "mosquitto"].map(facts).into());
    let engine = Engine::simulated(simulator.clone());
    (simulator, engine)
}

#[test]
fn refuses_once_or_until_mended() {
    run(async {
        let (simulator, engine) = home();
        let refuse = |once| Fault::Refuse {
            call: "pause",
            container: "mosquitto".to_owned(),
            message: "cgroup is busy".to_owned(),
            once,
        };
        simulator.inject(refuse(true));
        engine.pause("homeassistant").await?;
        let error = engine.pause("mosquitto").await.expect_err("the fault");
        assert_eq!(error.to_string(), "pausing mosquitto: cgroup is busy");
        assert_eq!(engine.inspect("mosquitto").await?.state, State::Running);
        engine.pause("mosquitto").await?;
        simulator.inject(refuse(false));
        for _ in 0..3 {
            engine.pause("mosquitto").await.expect_err("the fault stays");
        }
        simulator.mend();
        engine.pause("mosquitto").await
    });
}

#[test]
fn loses_a_container_at_a_call() {
    run(async {
        let (simulator, engine) = home();
        engine.look().await?;
        simulator.inject(Fault::Vanish { container: "mosquitto".to_owned(), at: 2 });
        engine.pause("mosquitto").await?;
        let error = engine.unpause("mosquitto").await.expect_err("it vanished");
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
        let names: Vec<String> = engine.look().await?.into_iter().map(|it| it.name).collect();
        assert_eq!(names, ["homeassistant"]);
        Ok(())
    });
}

#[test]
fn goes_away_at_a_call_and_comes_back() {
    run(async {
        let (simulator, engine) = home();
        simulator.inject(Fault::Unreachable { at: 2 });
        engine.pause("homeassistant").await?;
        for answer in [
            engine.unpause("homeassistant").await,
            engine.look().await.map(drop),
            engine.about().await.map(drop),
        ] {
            assert!(matches!(answer, Err(Error::Unreachable { .. })), "{answer:?}");
        }
        simulator.mend();
        assert_eq!(engine.inspect("homeassistant").await?.state, State::Paused);
        Ok(())
    });
}

#[test]
fn hangs_over_a_container_and_lists_it() {
    run(async {
        let (simulator, engine) = home();
        simulator.inject(Fault::Silent { container: "mosquitto".to_owned() });
        let error = engine.inspect("mosquitto").await.expect_err("no answer");
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        let all = engine.look().await?;
        let silent: Vec<_> = all.iter().map(|it| (it.name.as_str(), it.is_silent)).collect();
        assert_eq!(silent, [("homeassistant", false), ("mosquitto", true)]);
        simulator.mend();
        assert!(!engine.look().await?[1].is_silent);
        Ok(())
    });
}

#[test]
fn remembers_calls_in_order() {
    run(async {
        let (simulator, engine) = home();
        engine.look().await?;
        engine.pause("mosquitto").await?;
        engine.pause("nobody").await.expect_err("there is none");
        engine.stop("homeassistant", None).await?;
        let expected = ["look", "pause mosquitto", "pause nobody", "stop homeassistant"];
        assert_eq!(simulator.calls(), expected);
        Ok(())
    });
}

#[test]
fn does_not_pause_between_two_restarts() {
    run(async {
        let (simulator, engine) = home();
        simulator.set_state("mosquitto", State::Restarting);
        let error = engine.pause("mosquitto").await.expect_err("it is restarting");
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        engine.unpause("mosquitto").await?;
        engine.start("mosquitto").await?;
        assert_eq!(engine.inspect("mosquitto").await?.state, State::Restarting);
        Ok(())
    });
}
