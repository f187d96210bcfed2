BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'curves');
INSERT INTO "studies" VALUES(2,'plain');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MINIMIZE',1,0);
INSERT INTO "study_directions" VALUES(2,'MINIMIZE',2,0);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_intermediate_values" VALUES(1,1,0,1.082174,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(2,1,1,0.582174,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(3,1,2,0.415507,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(4,1,3,0.332174,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(5,2,0,1.091928,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(6,2,1,0.591928,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(7,2,2,0.425261,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(8,2,3,0.341928,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(9,3,0,1.196379,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(10,3,1,0.696379,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(11,3,2,0.529713,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(12,3,3,0.446379,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(13,4,0,1.158652,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(14,5,0,1.095895,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(15,5,1,NULL,'NAN');
INSERT INTO "trial_intermediate_values" VALUES(16,6,0,1.10266,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(17,6,1,0.60266,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(18,6,2,0.435994,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(19,6,3,0.35266,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(20,7,0,1.197363,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(21,7,1,0.697363,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(22,7,2,0.530696,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(23,7,3,0.447363,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(24,8,0,1.803128,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(25,8,1,1.303128,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(26,9,0,1.325763,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(27,9,1,0.825763,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(28,10,0,1.19869,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(29,10,1,0.69869,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(30,11,0,1.198027,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(31,11,1,0.698027,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(32,12,0,1.060235,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(33,12,1,0.560235,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(34,12,2,0.393569,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(35,12,3,0.310235,'FINITE');
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'rate',1.78264971513869378838e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(2,1,'optimizer',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["adam", "sgd"]}}');
INSERT INTO "trial_params" VALUES(3,1,'epochs',4.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 4, "high": 4}}');
INSERT INTO "trial_params" VALUES(4,2,'rate',8.07230788449975547593e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(5,2,'optimizer',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["adam", "sgd"]}}');
INSERT INTO "trial_params" VALUES(6,2,'epochs',4.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 4, "high": 4}}');
INSERT INTO "trial_params" VALUES(7,3,'rate',3.62060072574473847117e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(8,3,'optimizer',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["adam", "sgd"]}}');
INSERT INTO "trial_params" VALUES(9,3,'epochs',4.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 4, "high": 4}}');
INSERT INTO "trial_params" VALUES(10,4,'rate',4.13475900783471933541e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(11,4,'optimizer',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["adam", "sgd"]}}');
INSERT INTO "trial_params" VALUES(12,4,'epochs',4.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 4, "high": 4}}');
INSERT INTO "trial_params" VALUES(13,5,'rate',4.10541201685889114297e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(14,5,'optimizer',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["adam", "sgd"]}}');
INSERT INTO "trial_params" VALUES(15,5,'epochs',4.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 4, "high": 4}}');
INSERT INTO "trial_params" VALUES(16,6,'rate',1.02660300351642433391e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(17,6,'optimizer',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["adam", "sgd"]}}');
INSERT INTO "trial_params" VALUES(18,6,'epochs',4.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 4, "high": 4}}');
INSERT INTO "trial_params" VALUES(19,7,'rate',0.00263730777909246,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(20,7,'optimizer',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["adam", "sgd"]}}');
INSERT INTO "trial_params" VALUES(21,7,'epochs',4.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 4, "high": 4}}');
INSERT INTO "trial_params" VALUES(22,8,'rate',8.03127925811907839026e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(23,8,'optimizer',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["adam", "sgd"]}}');
INSERT INTO "trial_params" VALUES(24,8,'epochs',4.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 4, "high": 4}}');
INSERT INTO "trial_params" VALUES(25,9,'rate',4.25762548601137880144e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(26,9,'optimizer',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["adam", "sgd"]}}');
INSERT INTO "trial_params" VALUES(27,9,'epochs',4.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 4, "high": 4}}');
INSERT INTO "trial_params" VALUES(28,10,'rate',1.30967744937776024022e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(29,10,'optimizer',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["adam", "sgd"]}}');
INSERT INTO "trial_params" VALUES(30,10,'epochs',4.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 4, "high": 4}}');
INSERT INTO "trial_params" VALUES(31,11,'rate',1.97260668918409565533e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(32,11,'optimizer',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["adam", "sgd"]}}');
INSERT INTO "trial_params" VALUES(33,11,'epochs',4.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 4, "high": 4}}');
INSERT INTO "trial_params" VALUES(34,12,'rate',3.9764530117000415621e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(35,12,'optimizer',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["adam", "sgd"]}}');
INSERT INTO "trial_params" VALUES(36,12,'epochs',4.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 4, "high": 4}}');
INSERT INTO "trial_params" VALUES(37,13,'rate',2.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [0.01, 0.1, 1.0]}}');
INSERT INTO "trial_params" VALUES(38,14,'rate',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [0.01, 0.1, 1.0]}}');
INSERT INTO "trial_params" VALUES(39,15,'rate',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [0.01, 0.1, 1.0]}}');
INSERT INTO "trial_params" VALUES(40,16,'rate',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [0.01, 0.1, 1.0]}}');
INSERT INTO "trial_params" VALUES(41,17,'rate',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [0.01, 0.1, 1.0]}}');
INSERT INTO "trial_params" VALUES(42,18,'rate',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [0.01, 0.1, 1.0]}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,0.332174,'FINITE');
INSERT INTO "trial_values" VALUES(2,2,0,0.341928,'FINITE');
INSERT INTO "trial_values" VALUES(3,3,0,0.446379,'FINITE');
INSERT INTO "trial_values" VALUES(4,6,0,0.35266,'FINITE');
INSERT INTO "trial_values" VALUES(5,7,0,0.447363,'FINITE');
INSERT INTO "trial_values" VALUES(6,8,0,1.303128,'FINITE');
INSERT INTO "trial_values" VALUES(7,9,0,0.825763,'FINITE');
INSERT INTO "trial_values" VALUES(8,10,0,0.69869,'FINITE');
INSERT INTO "trial_values" VALUES(9,11,0,0.698027,'FINITE');
INSERT INTO "trial_values" VALUES(10,12,0,0.310235,'FINITE');
INSERT INTO "trial_values" VALUES(11,13,0,0.9,'FINITE');
INSERT INTO "trial_values" VALUES(12,14,0,9.00000000000000105471e-02,'FINITE');
INSERT INTO "trial_values" VALUES(13,15,0,0.0,'FINITE');
INSERT INTO "trial_values" VALUES(14,16,0,0.0,'FINITE');
INSERT INTO "trial_values" VALUES(15,17,0,0.0,'FINITE');
INSERT INTO "trial_values" VALUES(16,18,0,0.0,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-21 10:06:19.152009','2026-11-21 10:06:19.396568');
INSERT INTO "trials" VALUES(2,1,1,'COMPLETE','2026-11-21 10:06:19.416698','2026-11-21 10:06:19.627483');
INSERT INTO "trials" VALUES(3,2,1,'COMPLETE','2026-11-21 10:06:19.645155','2026-11-21 10:06:19.870618');
INSERT INTO "trials" VALUES(4,3,1,'FAIL','2026-11-21 10:06:19.882401','2026-11-21 10:06:19.929001');
INSERT INTO "trials" VALUES(5,4,1,'FAIL','2026-11-21 10:06:19.952535','2026-11-21 10:06:20.038388');
INSERT INTO "trials" VALUES(6,5,1,'COMPLETE','2026-11-21 10:06:20.053974','2026-11-21 10:06:20.223638');
INSERT INTO "trials" VALUES(7,6,1,'COMPLETE','2026-11-21 10:06:20.237888','2026-11-21 10:06:20.416387');
INSERT INTO "trials" VALUES(8,7,1,'PRUNED','2026-11-21 10:06:20.436191','2026-11-21 10:06:20.530275');
INSERT INTO "trials" VALUES(9,8,1,'PRUNED','2026-11-21 10:06:20.543616','2026-11-21 10:06:20.681778');
INSERT INTO "trials" VALUES(10,9,1,'PRUNED','2026-11-21 10:06:20.700619','2026-11-21 10:06:20.833936');
INSERT INTO "trials" VALUES(11,10,1,'PRUNED','2026-11-21 10:06:20.854406','2026-11-21 10:06:21.004387');
INSERT INTO "trials" VALUES(12,11,1,'COMPLETE','2026-11-21 10:06:21.027502','2026-11-21 10:06:21.171296');
INSERT INTO "trials" VALUES(13,0,2,'COMPLETE','2026-11-21 10:06:21.253111','2026-11-21 10:06:21.295886');
INSERT INTO "trials" VALUES(14,1,2,'COMPLETE','2026-11-21 10:06:21.337517','2026-11-21 10:06:21.361219');
INSERT INTO "trials" VALUES(15,2,2,'COMPLETE','2026-11-21 10:06:21.377187','2026-11-21 10:06:21.422900');
INSERT INTO "trials" VALUES(16,3,2,'COMPLETE','2026-11-21 10:06:21.444296','2026-11-21 10:06:21.486247');
INSERT INTO "trials" VALUES(17,4,2,'COMPLETE','2026-11-21 10:06:21.499888','2026-11-21 10:06:21.519229');
INSERT INTO "trials" VALUES(18,5,2,'COMPLETE','2026-11-21 10:06:21.541095','2026-11-21 10:06:21.589087');
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
COMMIT;
