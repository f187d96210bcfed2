// One study.

import { frame } from "./frame.js";

frame();
