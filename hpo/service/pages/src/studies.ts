// The page studies.

import { frame } from "./frame.js";

frame();
