// The page submit.

import { frame } from "./frame.js";

frame();
