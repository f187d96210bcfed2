// The page log.

import { frame } from "./frame.js";

frame();
