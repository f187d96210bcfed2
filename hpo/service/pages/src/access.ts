// The page access.

import { frame } from "./frame.js";

frame();
