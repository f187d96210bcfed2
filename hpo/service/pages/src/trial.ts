// One trial.

import { frame } from "./frame.js";

frame();
