// The page compare.

import { frame } from "./frame.js";

frame();
