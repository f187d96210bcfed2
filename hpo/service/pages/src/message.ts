// A page that only says something, such as that there is no such study.

import { frame } from "./frame.js";

frame();
