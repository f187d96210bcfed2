import{H as m}from"./chunk-6XZJ7LXI.js";m();
